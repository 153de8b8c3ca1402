"""A checkpoint of a version before: its localizer's weights have the name ``finder.*``."""

import torch

from impulse_nnunet.network import ImPulSeNet
from impulse_nnunet.network.dense import DenseHead
from impulse_nnunet.network.impulse_net import DenseDecoder
from impulse_nnunet.network.weight_names import with_current_names


def network(value):
    main, localizer = (ImPulSeNet(DenseHead(1, 2), DenseDecoder(2)) for _ in range(2))
    main.localizer = localizer
    for tensor in main.parameters():
        torch.nn.init.constant_(tensor, value)
    return main


def of_before(weights):
    return {name.replace("localizer.", "finder."): tensor for name, tensor in weights.items()}


def test_names_of_before_become_those_of_now():
    assert with_current_names({"finder.encoder.weight": 1, "decoder.finder.bias": 2, "localizer.x": 3}) == {
        "localizer.encoder.weight": 1,
        "decoder.finder.bias": 2,
        "localizer.x": 3,
    }


def test_a_network_loads_a_checkpoint_of_before_and_of_now():
    before, now = of_before(network(0.25).state_dict()), network(0.5).state_dict()
    assert any(name.startswith("finder.") for name in before)
    loaded = network(0.0)
    loaded.load_state_dict(before)
    assert all(bool((tensor == 0.25).all()) for tensor in loaded.parameters())
    loaded.load_state_dict(now)
    assert all(bool((tensor == 0.5).all()) for tensor in loaded.parameters())
    assert any(name.startswith("finder.") for name in before)  # what was handed in is as it was


def test_inside_another_module_too():
    loaded = torch.nn.Sequential(network(0.0))
    loaded.load_state_dict({f"0.{name}": tensor for name, tensor in of_before(network(0.25).state_dict()).items()})
    assert all(bool((tensor == 0.25).all()) for tensor in loaded.parameters())

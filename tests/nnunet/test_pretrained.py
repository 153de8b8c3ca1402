from types import SimpleNamespace

import pytest
import torch
from nnunetv2.run import run_training

from impulse_nnunet.errors import InputError
from impulse_nnunet.trainers import nnUNetTrainerImPulSe
from tests.security.harmful import Harmful, checkpoint_content
from tests.support import perturb_heads, small_network


def test_weights_arrive_and_code_does_not_run(tmp_path):
    good, bad, marker = tmp_path / "good.pth", tmp_path / "bad.pth", tmp_path / "marker"
    content = checkpoint_content()
    torch.save(content, good)
    torch.save(content | {"extra": Harmful(marker)}, bad)
    network = perturb_heads(small_network())
    run_training.load_pretrained_weights(network, str(good))
    for name, value in network.state_dict().items():
        assert torch.equal(value, content["network_weights"][name])
    with pytest.raises(InputError, match=r"bad\.pth: found code that runs when it is read"):
        run_training.load_pretrained_weights(network, str(bad))
    assert not marker.exists()
    torch.save({"weights": 1}, bad)
    with pytest.raises(InputError, match=r"bad\.pth: found no network_weights, expected a checkpoint of nnU-Net"):
        run_training.load_pretrained_weights(network, str(bad))


def test_other_networks_are_left_to_nnunet(tmp_path):
    torch.save({"network_weights": {"weight": torch.ones(1, 2), "bias": torch.ones(1)}}, tmp_path / "a.pth")
    network = torch.nn.Linear(2, 1)
    run_training.load_pretrained_weights(network, str(tmp_path / "a.pth"))
    assert torch.equal(network.weight, torch.ones(1, 2))


def test_resuming_does_not_run_code(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "checkpoint_latest.pth"
    torch.save(checkpoint_content(logging=Harmful(marker)), path)
    with pytest.raises(InputError, match=r"checkpoint_latest\.pth: found code that runs when it is read"):
        nnUNetTrainerImPulSe.load_checkpoint(SimpleNamespace(device=torch.device("cpu")), str(path))
    assert not marker.exists()

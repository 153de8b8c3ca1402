"""Prediction on a made-up CUDA device: nothing mixes devices, and only the encoder runs in half precision."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from impulse_nnunet.decoding import EncodedBox, OutputGrid
from impulse_nnunet.decoding.device_fold import fold_of
from impulse_nnunet.decoding.device_parts import Placement, Target
from impulse_nnunet.decoding.device_torch import evaluate, evaluate_plain
from impulse_nnunet.decoding.point_decoders import PlainPoints
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.inference import ensemble as module
from impulse_nnunet.inference.ensemble import Ensemble
from impulse_nnunet.inference.upload import uploaded, working_volume_on
from impulse_nnunet.network import SYSTEMS, NetworkSettings, Task
from tests.device.fake_cuda import CUDA, describe, fake_cuda

GRID, SEARCH, CLASSES, CHANNELS = (8, 12, 16), (8, 8, 8), 5, 3
SETTINGS = NetworkSettings(
    features_per_stage=(4, 8),
    strides=((1, 1, 1), (2, 2, 2)),
    blocks_per_stage=(1, 1),
    template_grid=(4, 6, 8),
    head_features=8,
)
PACKAGE = "dynamic_network_architectures"
ENCODERS = [
    "resnet18",
    "unet_encoder",
    "unet",
    f"{PACKAGE}.building_blocks.residual_encoders.ResidualEncoder",
    f"{PACKAGE}.architectures.unet.ResidualEncoderUNet",
]
FULL = {("cuda", torch.float32)}


@pytest.fixture
def half(request, monkeypatch):
    """The device, and its half precision."""
    kind = getattr(request, "param", torch.bfloat16)
    monkeypatch.setattr(module, "check_features", lambda *_: None)  # asks for values
    with fake_cuda(monkeypatch, kind):
        yield kind


def ensemble(system="impulse_plus", settings=SETTINGS, folds=1, precision="tf32"):
    task = Task(
        settings=settings, input_channels=CHANNELS, number_of_classes=CLASSES, input_grid=GRID, search_grid=SEARCH
    )
    with torch.device(CUDA):
        network = SYSTEMS[system].build(task)
    states = [dict(network.state_dict()) for _ in range(folds)]
    if folds == 1:
        return Ensemble(network, None, CUDA, precision=precision)
    network.load_state_dict = lambda weights, strict=True: None  # copies values; there are none
    made = Ensemble.__new__(Ensemble)
    made.network, made.device, made.precision = network.eval(), CUDA, precision
    made.decoders, made.encoders = [network.decoder] * folds, states
    return made


def volume():
    return torch.zeros(CHANNELS, 10, 14, 18, dtype=torch.float16, device=CUDA)


def evaluated(member: PlainPoints, points: int = 7):
    return member.decoder(member.pyramid, torch.rand(1, points, 3, device=CUDA))


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("folds", [1, 2])
def test_every_system_stays_on_the_device(half, system, folds):
    made = ensemble(system, folds=folds)
    encoded = made.encode(volume(), Box.whole(), GRID)
    assert len(encoded.members) == folds
    for member in encoded.members:
        kinds = describe(*member.pyramid)
        assert kinds <= FULL | {("cuda", half)}
        assert SYSTEMS[system].dense or kinds == {("cuda", half)} or kinds == FULL
        prediction = evaluated(member)
        assert describe(*prediction) == FULL
        assert prediction.logits.shape == (1, 7, CLASSES)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_systems_localizer_stays_on_the_device(half, system):
    (member,) = ensemble(system).search(volume(), SEARCH).members
    assert describe(*evaluated(member)) == FULL
    assert evaluated(member).logits.shape == (1, 7, 2)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_every_encoder_stays_on_the_device(half, encoder, norm):
    made = ensemble(settings=replace(SETTINGS, encoder=encoder, norm=norm))
    (member,) = made.encode(volume(), Box.from_faces([-0.5] * 3, [0.5] * 3), GRID).members
    assert describe(*evaluated(member)) == FULL


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"], indirect=True)
@pytest.mark.parametrize(("precision", "halved"), [("half", True), ("tf32", False), ("float32", False)])
def test_the_encoder_runs_in_the_precision_that_is_asked_for(half, precision, halved):
    made = ensemble(precision=precision)
    image = torch.zeros(1, CHANNELS, *GRID, device=CUDA)
    with torch.inference_mode():
        first = made.network.encoder.stem if hasattr(made.network.encoder, "stem") else made.network.encoder
        kinds = set()
        first.register_forward_hook(lambda module, given, output: kinds.add(output.dtype))
        made._pyramid(made.network, image)
    assert (half in kinds) == halved


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="precision is 'single', expected one of tf32, half, float32"):
        Ensemble(
            SYSTEMS["impulse_plus"].build(
                Task(settings=SETTINGS, input_channels=1, number_of_classes=2, input_grid=GRID)
            ),
            None,
            torch.device("cpu"),
            precision="single",
        )


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("upright", [True, False], ids=["upright", "turned"])
def test_the_point_decoder_without_numpy(half, system, upright):
    """What decodes labels on a device, part by part: no tensor leaves it."""
    (member,) = ensemble(system).encode(volume(), Box.whole(), GRID).members
    turn = np.eye(4)[:3] if upright else np.array([[0.9, -0.1, 0, 0], [0.1, 0.9, 0, 0], [0, 0, 0.9, 0]])
    native = OutputGrid.native((5, 6, 7))
    grid = native if upright else OutputGrid(native.shape, turn @ np.vstack([native.to_image, [0, 0, 0, 1]]))
    placement = Placement.of(grid, Box.whole())
    fold = fold_of(member.decoder, member.pyramid, 1000, torch.float16)
    labels = torch.zeros(grid.shape, dtype=torch.uint8, device=CUDA)
    for part in placement.parts(100):
        logits = torch.zeros(*part.extent, CLASSES, device=CUDA)
        moved = torch.zeros(*part.extent, 3, device=CUDA)
        evaluate(fold, placement, part, Target(labels=labels, logits=logits, displacement=moved), 10)
        evaluate_plain(
            member.decoder,
            member.pyramid,
            placement,
            part,
            Target(labels=labels, logits=logits, displacement=moved, adds=True, share=0.5),
            10,
        )


def test_a_native_image_becomes_its_working_volume_on_the_device(half):
    made = working_volume_on(CUDA, torch.zeros(CHANNELS, 20, 30, 40), (10, 14, 18))
    assert describe(made) == {("cuda", torch.float16)}
    assert made.shape == (CHANNELS, 10, 14, 18)
    assert uploaded(made, CUDA) is made


def test_mixed_devices_would_be_seen(half):
    """The test of the tests: a template that was left on the CPU."""
    made = ensemble()
    made.network.decoder.template.logits = torch.zeros(1, CLASSES, 4, 6, 8)
    (member,) = made.encode(volume(), Box.whole(), GRID).members
    with pytest.raises(RuntimeError, match="device"):
        evaluated(member)


def test_values_are_waited_for_once_for_each_box(half, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "check_features", lambda pyramids, *_: asked.append(len(pyramids)))
    ensemble(folds=2).encode(volume(), Box.whole(), GRID)
    assert asked == [2]


def test_a_box_of_fake_tensors_is_a_box_on_a_gpu(half):
    encoded = ensemble().encode(volume(), Box.whole(), GRID)
    assert isinstance(encoded, EncodedBox)
    assert not encoded.on_cpu
    assert all(isinstance(member, PlainPoints) for member in encoded.members)

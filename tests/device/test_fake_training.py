"""A training step but for its backward pass on a made-up CUDA device: nothing mixes devices, the loss is float32."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.geometry.deformation import DeformedBox
from impulse_nnunet.geometry.resampling import images_on_boxes
from impulse_nnunet.network import SYSTEMS, NetworkSettings, Task
from impulse_nnunet.settings import AugmentationSettings, LossSettings, RegionSettings, SamplingSettings
from impulse_nnunet.training import images
from impulse_nnunet.training.batches import Sample
from impulse_nnunet.training.boxes import random_deformation
from impulse_nnunet.training.inputs import InputMaker
from impulse_nnunet.training.losses import hard_counts, point_loss
from tests.device.fake_cuda import CUDA, describe, fake_cuda
from tests.support import settings_for

GRID, SEARCH, CLASSES, CHANNELS, POINTS = (8, 12, 16), (8, 8, 8), 5, 3, 11
NETWORK = NetworkSettings(
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
MASKS = SamplingSettings(mask_channels=(1,))


class WithoutGpuGenerators:
    """``torch`` for a module whose random numbers on a GPU no machine without one can draw."""

    def __init__(self):
        self.places = []

    def __getattr__(self, name):
        return getattr(torch, name)

    def Generator(self, device="cpu"):
        self.places.append(torch.device(device).type)
        return torch.Generator("cpu")

    def randn(self, *size, generator, device="cpu"):
        return torch.randn(*size, device=device)


@pytest.fixture
def device(monkeypatch):
    module = WithoutGpuGenerators()
    monkeypatch.setattr(images, "torch", module)
    with fake_cuda(monkeypatch):
        yield CUDA
    assert set(module.places) <= {"cpu", "cuda"}


def settings(localizer=True):
    region = RegionSettings(mode="two_pass", search_grid=SEARCH) if localizer else RegionSettings()
    return settings_for(GRID, (10, 14, 18), region=region, sampling=MASKS)


def sample(volume, points=POINTS, search=None):
    voxels = points or int(np.prod(GRID))
    return Sample(
        volume=volume,
        box=Box.from_faces([-0.5] * 3, [0.7] * 3),
        points=torch.zeros(points, 3) if points else None,
        labels=torch.zeros(voxels, dtype=torch.int64),
        seed=0,
        search=search,
    )


def batch(dense, localizer=True):
    volumes = [torch.zeros(CHANNELS, 10, 14, 18, dtype=torch.float16) for _ in range(2)]
    return [sample(v, 0 if dense else POINTS, sample(v) if localizer else None) for v in volumes]


def network(system, co_trained=False, localizer=True, encoder=NETWORK):
    task = Task(
        settings=encoder,
        input_channels=CHANNELS,
        number_of_classes=CLASSES,
        input_grid=GRID,
        co_trained=co_trained,
        search_grid=SEARCH if localizer else None,
    )
    with torch.device(CUDA):
        return SYSTEMS[system].build(task).train()


def step(network, made):
    """What the trainer does up to the backward pass."""
    settings = LossSettings()
    found = network(made.images, made.points, made.search, at_voxels=made.points is None)
    prediction, search = found if made.search is not None else (found, None)
    loss = point_loss(prediction, made.labels, settings)
    if search is not None:
        assert describe(*search) == {("cuda", torch.float32)}
        loss = loss + point_loss(search, made.foreground, settings)
    counts = hard_counts(prediction.logits, made.labels)
    return prediction, loss, counts


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("localizer", [True, False], ids=["localizer", "no localizer"])
@pytest.mark.parametrize("co_trained", [False, True], ids=["fixed", "co-trained"])
def test_every_system_stays_on_the_device(device, system, localizer, co_trained):
    dense = SYSTEMS[system].dense
    made = InputMaker(settings(localizer), device, augment=True)(batch(dense, localizer))
    assert describe(made.images) == {("cuda", torch.float32)}
    assert made.images.shape == (2, CHANNELS, *GRID)
    assert describe(made.labels) == {("cuda", torch.int64)}
    prediction, loss, counts = step(network(system, co_trained, localizer), made)
    assert describe(*prediction, loss) == {("cuda", torch.float32)}
    assert prediction.logits.shape == (2, int(np.prod(GRID)) if dense else POINTS, CLASSES)
    assert loss.shape == ()
    assert describe(*counts) == {("cuda", torch.int64)}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_every_encoder_stays_on_the_device(device, encoder, norm):
    made = InputMaker(settings(), device, augment=False)(batch(dense=False))
    trained = network("impulse_plus", encoder=replace(NETWORK, encoder=encoder, norm=norm))
    prediction, loss, _ = step(trained, made)
    assert describe(*prediction, loss) == {("cuda", torch.float32)}


def test_context_stays_on_the_device(device):
    made = InputMaker(settings(), device, augment=False)(batch(dense=False))
    prediction, loss, _ = step(network("impulse_plus", encoder=replace(NETWORK, context_blocks=1)), made)
    assert describe(*prediction, loss) == {("cuda", torch.float32)}


def test_the_encoder_alone_runs_in_half_precision(device):
    seen = {}
    trained = network("impulse_plus")
    for part in ("encoder", "decoder"):
        getattr(trained, part).register_forward_hook(
            lambda module, given, output, part=part: seen.update({part: describe(*output)})
        )
    linear = trained.decoder.correction.first_layers[0]
    linear.register_forward_hook(lambda module, given, output: seen.update(head=describe(given[0], output)))
    step(trained, InputMaker(settings(), device, augment=False)(batch(dense=False)))
    assert ("cuda", torch.bfloat16) in seen["encoder"] or seen["encoder"] == {("cuda", torch.float32)}
    assert seen["decoder"] == seen["head"] == {("cuda", torch.float32)}


def test_masks_are_left_alone_and_stay_on_the_device(device):
    image = torch.zeros(CHANNELS, *GRID, device=device)
    changed = images.random_intensities(image, 0, settings().augmentation, (1,))
    assert describe(changed) == {("cuda", torch.float32)}
    assert changed.shape == image.shape


def test_less_sharp_images_stay_on_the_device(device):
    image = torch.zeros(CHANNELS, *GRID, device=device)
    every_way = AugmentationSettings(blur=1.0, low_resolution=0.5, gamma=0.5)
    for seed in range(12):  # some are blurred, some reduced, some curved
        assert describe(images.random_intensities(image, seed, every_way, (1,))) == {("cuda", torch.float32)}
    for changed in (images.blurred(image[0], 1.0), images.reduced(image[0], 0.5), images.curved(image[0], 2.0, True)):
        assert describe(changed) == {("cuda", torch.float32)}
        assert changed.shape == GRID


def test_a_deformed_box_is_interpolated_on_the_device(device):
    deformation = random_deformation(np.random.default_rng(0), 0.1, 1.0)
    boxes = [DeformedBox(np.eye(3), np.zeros(3), deformation), Box.whole()]
    volumes = [torch.zeros(CHANNELS, 5, 6, 7, dtype=torch.float16, device=device)] * 2
    found = images_on_boxes(volumes, boxes, GRID)
    assert describe(found) == {("cuda", torch.float32)}
    assert found.shape == (2, CHANNELS, *GRID)

"""Tensors of a batch against a straightforward computation: one sample after the other, with PyTorch's functions."""

import torch
from torch.nn import functional

from impulse_nnunet.geometry.resampling import image_on_box, images_at_once, images_on_boxes
from impulse_nnunet.settings import RegionSettings, SamplingSettings
from impulse_nnunet.training.batches import BatchMaker, CaseStore
from impulse_nnunet.training.inputs import InputMaker
from tests.support import MadeUpDataset, made_up_cases, settings_for

CPU = torch.device("cpu")
SETTINGS = settings_for(
    sampling=SamplingSettings(points=64), region=RegionSettings(mode="two_pass", search_grid=(2, 4, 6))
)


def batch_of(settings=SETTINGS, number=3, step=5, whole_grid=False):
    store = CaseStore(MadeUpDataset(made_up_cases(2)), settings, None)
    return BatchMaker(store, settings, 0, 0, number, whole_grid)(step)


def interpolated(sample, grid):
    axes = [(2 * torch.arange(n) + 1) / n - 1 for n in grid]
    centres = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    matrix, centre = (torch.tensor(part, dtype=torch.float32) for part in (sample.box.matrix, sample.box.centre))
    places = (centres @ matrix.T + centre).flip(-1)[None]
    volume = sample.volume[None].float()
    return functional.grid_sample(volume, places, padding_mode="border", align_corners=False)[0]


def with_noise(image, seed, settings):
    """Two shares a channel, its brightness, then its noise: in this order from one generator."""
    generator = torch.Generator().manual_seed(seed)
    shares = torch.rand(len(image), 2, generator=generator)
    brightness = torch.randn(len(image), generator=generator) * settings.brightness
    noise = torch.randn(image.shape, generator=generator)
    changed = []
    for channel, values in enumerate(image):
        contrast = 1 + (2 * shares[channel, 0] - 1) * settings.contrast
        mean, strength = values.mean(), shares[channel, 1] * settings.noise
        changed.append((values - mean) * contrast + mean + brightness[channel] + noise[channel] * strength)
    return torch.stack(changed)


def assert_part(batch, grid, images, points, labels):
    for place, sample in enumerate(batch):
        expected = with_noise(interpolated(sample, grid), sample.seed, SETTINGS.augmentation)
        torch.testing.assert_close(images[place], expected, rtol=1e-6, atol=1e-6)
        assert torch.equal(points[place], sample.points)
        assert torch.equal(labels[place], sample.labels)


def test_images_points_and_labels_of_network_and_localizer():
    batch = batch_of()
    made = InputMaker(SETTINGS, CPU, augment=True)(batch)
    assert_part(batch, (4, 6, 8), made.images, made.points, made.labels)
    assert_part([sample.search for sample in batch], (2, 4, 6), *made.search, made.foreground)
    assert len(made.tensors()) == 6


def test_without_augmentation_the_image_is_interpolated_and_nothing_else():
    settings = settings_for(sampling=SamplingSettings(points=64))
    batch = batch_of(settings)
    made = InputMaker(settings, CPU, augment=False)(batch)
    expected = torch.stack([interpolated(sample, (4, 6, 8)) for sample in batch])
    torch.testing.assert_close(made.images, expected, rtol=1e-6, atol=1e-6)
    assert made.search is None
    assert made.foreground is None


def test_a_dense_networks_batch_has_no_points():
    made = InputMaker(SETTINGS, CPU, augment=True)(batch_of(whole_grid=True))
    assert made.points is None
    assert made.labels.shape == (3, 4 * 6 * 8)
    assert made.search[1].shape == (3, 64, 3)


def test_making_inputs_leaves_torchs_own_random_numbers_alone():
    before = torch.get_rng_state()
    InputMaker(SETTINGS, CPU, augment=True)(batch_of())
    assert torch.equal(torch.get_rng_state(), before)


def test_each_volume_is_uploaded_once():
    uploaded = []

    class Volume(torch.Tensor):
        def to(self, *arguments, **named):
            uploaded.append(self.shape)
            return torch.Tensor(self)

    batch = batch_of(number=6)  # of two cases
    kinds = {id(sample.volume): sample.volume.as_subclass(Volume) for sample in batch}
    for sample in batch:
        object.__setattr__(sample.search, "volume", kinds[id(sample.volume)])
        object.__setattr__(sample, "volume", kinds[id(sample.volume)])
    InputMaker(SETTINGS, CPU, augment=True)(batch)
    assert len(uploaded) == len(kinds) == 2


def test_at_once_and_one_by_one_are_the_same():
    batch = batch_of()
    volumes, boxes = [sample.volume for sample in batch], [sample.box for sample in batch]
    expected = torch.stack([image_on_box(*pair, (4, 6, 8)) for pair in zip(volumes, boxes, strict=True)])
    assert torch.equal(images_on_boxes(volumes, boxes, (4, 6, 8)), expected)
    torch.testing.assert_close(images_at_once(volumes, boxes, (4, 6, 8)), expected, rtol=0, atol=1e-6)
    volumes[1] = volumes[1][:, 1:]  # no longer of one shape
    assert images_on_boxes(volumes, boxes, (4, 6, 8)).shape == expected.shape

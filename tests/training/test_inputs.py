"""Tensors of a batch against a straightforward computation: one sample after the other, with PyTorch's functions."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.geometry.coordinates import grid_points, sample_points
from impulse_nnunet.geometry.deformation import DeformedBox
from impulse_nnunet.geometry.resampling import image_on_box, images_at_once, images_on_boxes
from impulse_nnunet.settings import AugmentationSettings, RegionSettings, SamplingSettings
from impulse_nnunet.training.batches import BatchMaker, CaseStore
from impulse_nnunet.training.inputs import InputMaker
from impulse_nnunet.training.points import labels_at
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


DEFORMED = settings_for(
    input_grid=(12, 14, 16),
    working_grid=(30, 32, 34),
    sampling=SamplingSettings(points=512, mask_share=0.4, mask_channels=(0,)),
    region=RegionSettings(mode="two_pass", search_grid=(12, 14, 16)),
    augmentation=AugmentationSettings(deformation=0.1, axis_scale=0.1),
)


def ball_case():
    """A mask channel that is the label map: a ball, voxels of the image as large as the working volume's."""
    centres = grid_points((30, 32, 34)).numpy()
    segmentation = (np.linalg.norm(centres - [0.1, -0.1, 0.2], axis=-1) < 0.6).astype(np.int16)
    return {"ball": (segmentation[None].astype(np.float32), segmentation, {"spacing": [1.0, 1.0, 1.0]})}


def agreement(found, labels, where):
    return ((found > 0.5) == (labels == 1))[where].float().mean()


@pytest.mark.parametrize("whole_grid", [False, True])
def test_image_and_labels_are_deformed_alike(whole_grid):
    """The image's mask channel, read at the points, is the label of the points, but for half voxels at the border."""
    store = CaseStore(MadeUpDataset(ball_case()), DEFORMED, None)
    batch = BatchMaker(store, DEFORMED, 0, 0, 4, whole_grid)(3)
    made = InputMaker(DEFORMED, CPU, augment=True)(batch)
    sets = [(made.images, made.points, made.labels), (*made.search, made.foreground)]
    for images, points, labels in sets:
        centres = grid_points(images.shape[2:]).reshape(1, -1, 3).expand(len(images), -1, -1)
        found = sample_points(images, centres if points is None else points)[:, 0]
        known, clear = labels >= 0, (found < 0.1) | (found > 0.9)
        assert (known & clear).float().mean() > 0.6
        assert agreement(found, labels, known & clear) > 0.995  # a curved border may pass between clear nodes
        for sample in batch:
            assert isinstance(sample.box, DeformedBox)
            assert isinstance(sample.search.box, DeformedBox)


def test_the_share_inside_masks_stays_what_it_was():
    store = CaseStore(MadeUpDataset(ball_case()), DEFORMED, None)
    sample = BatchMaker(store, DEFORMED, 0, 0, 1)(3)[0]
    positions = sample.box.to_image(sample.points.double().numpy())
    index = np.floor((positions + 1) / 2 * np.array((30, 32, 34))).astype(int)
    # the first 40 % were drawn inside the ball; points are stored in float32
    assert store["ball"].segmentation[tuple(index[: round(512 * 0.4)].T)].mean() > 0.99


def test_the_same_step_is_deformed_in_the_same_way_and_another_is_not():
    first, second = (
        BatchMaker(CaseStore(MadeUpDataset(ball_case()), DEFORMED, None), DEFORMED, 0, 0, 2) for _ in range(2)
    )
    for step in (3, 0):
        for a, b in zip(first(step), second(step), strict=True):
            np.testing.assert_array_equal(a.box.deformation.phases, b.box.deformation.phases)
            assert torch.equal(a.labels, b.labels)
            assert torch.equal(a.points, b.points)
    assert not np.array_equal(first(1)[0].box.deformation.phases, first(2)[0].box.deformation.phases)


def test_validation_is_not_deformed():
    store = CaseStore(MadeUpDataset(ball_case()), DEFORMED, None)
    assert not isinstance(BatchMaker(store, DEFORMED, 1, 0, 1)(0)[0].box, DeformedBox)


def test_labels_without_the_deformation_do_not_fit_the_deformed_image():
    """So the test above would see it."""
    store = CaseStore(MadeUpDataset(ball_case()), DEFORMED, None)
    sample = BatchMaker(store, DEFORMED, 0, 0, 1)(3)[0]
    made = InputMaker(DEFORMED, CPU, augment=True)([sample])
    affine = Box(sample.box.matrix, sample.box.centre)
    labels = torch.from_numpy(labels_at(store["ball"].segmentation, affine, sample.points.numpy(), None))
    found = sample_points(made.images, made.points)[0, 0]
    assert agreement(found, labels, (labels >= 0) & ((found < 0.1) | (found > 0.9))) < 0.97

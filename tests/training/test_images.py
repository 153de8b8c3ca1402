import pytest
import torch

from impulse_nnunet.settings import AugmentationSettings
from impulse_nnunet.training.images import random_intensities

NOTHING = {"brightness": 0.0, "contrast": 0.0, "noise": 0.0}


def volume(shape=(6, 8, 10), channels=2):
    return torch.randn(channels, *shape)


def test_masks_keep_their_values_and_the_input_is_not_changed():
    image = volume(channels=3)
    before = image.clone()
    changed = random_intensities(image, 1, AugmentationSettings(), mask_channels=(0, 2))
    assert torch.equal(changed[[0, 2]], before[[0, 2]])
    assert torch.equal(image, before)
    assert not torch.allclose(changed[1], before[1])


def test_an_image_of_masks_alone_comes_back():
    image = volume()
    assert torch.equal(random_intensities(image, 1, AugmentationSettings(), (0, 1)), image)


def test_the_seed_decides():
    image, settings = volume(), AugmentationSettings()
    first = random_intensities(image, 5, settings, ())
    torch.manual_seed(123)  # torch's own state plays no part
    assert torch.equal(random_intensities(image, 5, settings, ()), first)
    assert not torch.equal(random_intensities(image, 6, settings, ()), first)


@pytest.mark.parametrize("seed", range(5))
def test_without_ranges_intensities_stay(seed):
    image = volume()
    torch.testing.assert_close(random_intensities(image, seed, AugmentationSettings(**NOTHING), ()), image)


@pytest.mark.parametrize("seed", range(5))
def test_contrast_keeps_the_mean_and_scales_the_deviation(seed):
    image = volume()
    changed = random_intensities(image, seed, AugmentationSettings(**(NOTHING | {"contrast": 0.15})), ())
    torch.testing.assert_close(changed.mean((1, 2, 3)), image.mean((1, 2, 3)), atol=1e-5, rtol=0)
    factors = changed.std((1, 2, 3)) / image.std((1, 2, 3))
    assert torch.all((factors - 1).abs() <= 0.15 + 1e-5)


def test_brightness_moves_each_channel_by_one_constant():
    image = volume()
    moved = random_intensities(image, 3, AugmentationSettings(**(NOTHING | {"brightness": 0.5})), ()) - image
    assert torch.all(moved.std((1, 2, 3)) < 1e-5)
    assert moved[0, 0, 0, 0] != moved[1, 0, 0, 0]

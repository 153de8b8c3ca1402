import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from impulse_nnunet.settings import AugmentationSettings
from impulse_nnunet.training.images import blurred, curved, random_intensities, reduced

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


def test_blur_of_a_bright_voxel_is_a_gaussian():
    image = torch.zeros(15, 17, 19)
    image[7, 8, 9] = 1
    expected = gaussian_filter(image.double().numpy(), 1.2, mode="nearest", radius=4)  # ceil(3 * 1.2)
    np.testing.assert_allclose(blurred(image, 1.2), expected, atol=1e-6)


def test_blur_at_the_faces_repeats_the_outermost_values():
    image = volume()[0]
    expected = gaussian_filter(image.double().numpy(), 0.8, mode="nearest", radius=3)
    np.testing.assert_allclose(blurred(image, 0.8), expected, atol=1e-5)


def test_fewer_voxels_by_hand():
    # 4 voxels to 2: nearest takes the voxels 0 and 2, centred at 1/4 and 3/4; between them a quarter, then three
    image = torch.tensor([0.0, 9, 4, 9]).expand(2, 3, 4)
    np.testing.assert_allclose(reduced(image, 0.5)[0, 0], [0, 1, 3, 4])
    assert torch.equal(reduced(image, 1.0), image)


@pytest.mark.parametrize("invert", [False, True])
def test_a_gamma_curve_by_hand(invert):
    image = torch.tensor([0.0, 1, 2, 4]).reshape(1, 2, 2)
    # shares of the range 0, 1/4, 1/2, 1 squared; inverted, 1 less the shares are squared
    shares = 1 - torch.tensor([1, 9 / 16, 4 / 16, 0]) if invert else torch.tensor([0, 1 / 16, 4 / 16, 1])
    expected = (shares - shares.mean()) / shares.std() * image.std() + image.mean()
    np.testing.assert_allclose(curved(image, 2.0, invert).flatten(), expected, rtol=1e-5, atol=1e-6)


def test_a_gamma_curve_of_a_constant_image_is_the_image():
    np.testing.assert_allclose(curved(torch.full((2, 3, 4), 5.0), 0.7), 5)


@pytest.mark.parametrize(
    ("name", "value", "share"), [("blur", 1.0, 0.1), ("low_resolution", 0.5, 0.125), ("gamma", 0.5, 0.4)]
)
def test_so_many_images_are_changed(name, value, share):
    image = volume((6, 6, 6), channels=1)
    settings = AugmentationSettings(**NOTHING, **{name: value})
    changed = [
        not torch.allclose(random_intensities(image, seed, settings, ()), image, atol=1e-4) for seed in range(600)
    ]
    # three standard deviations of 600 draws; a gamma near 1 or 0 % fewer voxels changes next to nothing
    assert share - 0.075 < np.mean(changed) < share + 0.06


def test_what_was_drawn_before_stays_when_more_is_asked_for():
    image, before, more = volume(), AugmentationSettings(), AugmentationSettings(blur=1, low_resolution=0.5, gamma=0.5)
    same = [
        torch.equal(random_intensities(image, seed, before, ()), random_intensities(image, seed, more, ()))
        for seed in range(40)
    ]
    assert 0 < np.mean(same) < 1  # (0.9 * 0.875 * 0.6)^2 = 22 % of images of two channels get none of the three


def test_masks_stay_sharp():
    settings = AugmentationSettings(blur=1, low_resolution=0.5, gamma=0.5)
    image = volume()
    for seed in range(30):
        assert torch.equal(random_intensities(image, seed, settings, (1,))[1], image[1])

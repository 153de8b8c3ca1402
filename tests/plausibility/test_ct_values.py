"""CT values: shifted ones, clipped ones, and honest ones that differ."""

import re

import numpy as np
import pytest

from impulse_nnunet.plausibility.ct_values import judge_values, learn_values, usual_bins, value_shares
from tests.plausibility.made_up import chest

LEARNED = learn_values(0, [value_shares(chest(seed)[0]) for seed in range(6)])
IMAGES = [chest(seed)[0] for seed in range(50, 62)]


def judged(image):
    found = judge_values(LEARNED, value_shares(np.asarray(image, np.float32)))
    return None if found is None else found.kind


def test_shares_and_quantiles_of_a_few_values():
    # bins of 8: -16 to -9 (two), 0 to 7 (one), 8 to 15 (one)
    found = value_shares(np.array([-16.0, -9.0, 3.0, 8.0]))
    assert (found.first, found.shares.tolist()) == (-2, [0.5, 0, 0.25, 0.25])
    assert found.below(0) == 0.5
    assert found.quantile(0.7) == 0


def test_padding_far_below_everything_is_left_out():
    values = np.array([-3024.0] * 50 + [-1000.0, 40.0])
    assert value_shares(values).first == -125  # -1000 / 8
    assert value_shares(np.array([-1000.0, -990.0])).first == -125  # near the others: no padding


def test_usual_bins_hold_nearly_all_voxels_and_their_neighbourhood():
    # 98 % of the mass lies in the two large bins; 48 HU on each side are two bins of 24
    shares = np.zeros(12)
    shares[[2, 9, 6]] = 0.5, 0.49, 0.01
    assert np.flatnonzero(usual_bins(shares, 24.0)).tolist() == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]


@pytest.mark.parametrize("shift", [1024, -1024, 1000, -500, 300])
def test_a_shift_is_named_with_its_size(shift):
    for image in IMAGES:
        found = judge_values(LEARNED, value_shares(image + shift))
        assert found is not None
        assert found.kind == "hu_shift"
        size = float(re.search(r"shifted by ([+-]\d+) HU", found.text)[1])
        assert abs(size - shift) <= 48  # as far as noise and the width of the bins tell


def test_unsigned_values_from_0_to_4095():
    assert {judged(np.clip(image + 1024, 0, 4095)) for image in IMAGES} == {"hu_shift"}


def test_values_clipped_to_a_window_are_no_shift():
    assert {judged(np.clip(image, -160, 240)) for image in IMAGES} == {"hu_range"}
    assert {judged(np.clip(image * 3, -9000, 9000)) for image in IMAGES} == {"hu_range"}


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: image + 20,  # another calibration
        lambda image: image + np.random.default_rng(0).normal(0, 60, image.shape),  # a low dose
        lambda image: np.where(np.indices(image.shape)[1] < 4, -3024, image),  # padding
        lambda image: np.where(np.indices(image.shape)[1] < 4, -2000, image),
        lambda image: np.maximum(image, -1024),
        lambda image: image[2:-2, 3:-3, 3:-3],  # a smaller field of view
        lambda image: np.pad(image, 6, constant_values=-1000),  # a larger one
    ],
)
def test_honest_images_pass(change):
    assert {judged(change(image)) for image in IMAGES} == {None}

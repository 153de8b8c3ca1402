import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from impulse_nnunet.geometry.boxes import Box, region_box
from impulse_nnunet.geometry.deformation import DeformedBox
from impulse_nnunet.settings import AugmentationSettings, RegionSettings
from impulse_nnunet.training.boxes import augment_box, random_deformation, random_region_box, rotation_matrix

FOREGROUND = np.array([[-0.5, -0.2, 0.0], [0.5, 0.2, 1.0]])
EXTENT_MM = np.array([100.0, 220.0, 340.0])
STILL = {"rotation": 0.0, "scale": 0.0, "shift": 0.0}


def draws(region, number=300):
    return [random_region_box(np.random.default_rng(i), FOREGROUND, region) for i in range(number)]


def test_whole_takes_the_image():
    for box in draws(RegionSettings(mode="whole"), 5):
        np.testing.assert_array_equal(box.faces, Box.whole().faces)


def test_two_pass_without_jitter_takes_the_region():
    for box in draws(RegionSettings(mode="two_pass", margin=0.1, whole_share=0.0, jitter=0.0), 5):
        np.testing.assert_allclose(box.faces, region_box(FOREGROUND, 0.1).faces)


def test_two_pass_jitters_each_face_and_stays_in_the_image():
    faces = np.array(
        [box.faces for box in draws(RegionSettings(mode="two_pass", margin=0.0, whole_share=0.0, jitter=0.05))]
    )
    moved = faces - FOREGROUND
    # at most two standard deviations of 0.05 of the edges 1, 0.4, 1; the last upper face cannot move out
    assert np.all(np.abs(moved) <= 0.1 * np.array([1, 0.4, 1]) + 1e-9)
    assert np.all(np.abs(faces) <= 1)
    assert np.all(moved.std(axis=0) > 0.01)


def test_two_pass_takes_anything_from_tight_to_the_image():
    lower, upper = region_box(FOREGROUND, 0.05).faces
    faces = np.array([box.faces for box in draws(RegionSettings(mode="two_pass", margin=0.05, whole_share=1.0), 2000)])
    assert np.all(faces[:, 0] <= lower + 1e-9)
    assert np.all(faces[:, 1] >= upper - 1e-9)
    whole = np.all(np.abs(faces) == 1, axis=(1, 2)).mean()
    assert whole == pytest.approx(1 / 11, abs=0.03)  # one in eleven; standard deviation 0.0064
    np.testing.assert_allclose(faces[:, 0].mean(0), (1 / 11) * -1 + (10 / 11) * (lower - 1) / 2, atol=0.02)


@given(st.integers(0, 2**32))
def test_without_ranges_the_box_stays(seed):
    box = region_box(FOREGROUND, 0.1)
    same = augment_box(np.random.default_rng(seed), box, EXTENT_MM, AugmentationSettings(**STILL))
    np.testing.assert_allclose(same.matrix, box.matrix, atol=1e-12)
    np.testing.assert_allclose(same.centre, box.centre, atol=1e-12)


@given(st.integers(0, 2**32))
def test_rotation_is_rigid_in_mm(seed):
    box = region_box(FOREGROUND, 0.1)
    settings = AugmentationSettings(**(STILL | {"rotation": 0.5}))
    turned = augment_box(np.random.default_rng(seed), box, EXTENT_MM, settings)
    points = np.random.default_rng(0).uniform(-1, 1, (6, 3))
    before, after = (pdist(b.to_image(points) * EXTENT_MM / 2) for b in (box, turned))
    np.testing.assert_allclose(after, before, rtol=1e-9)
    np.testing.assert_allclose(turned.centre, box.centre, atol=1e-12)


def test_rotation_does_turn():
    turned = augment_box(
        np.random.default_rng(0), Box.whole(), EXTENT_MM, AugmentationSettings(rotation=0.5, scale=0, shift=0)
    )
    assert np.abs(turned.matrix - np.eye(3)).max() > 0.05


@given(st.integers(0, 2**32))
def test_scale_is_one_factor_for_all_axes_within_its_range(seed):
    box = region_box(FOREGROUND, 0.1)
    scaled = augment_box(
        np.random.default_rng(seed), box, EXTENT_MM, AugmentationSettings(rotation=0, scale=0.12, shift=0)
    )
    factors = np.diag(scaled.matrix) / np.diag(box.matrix)
    np.testing.assert_allclose(factors, factors[0])
    assert abs(factors[0] - 1) <= 0.12


def test_shift_is_a_share_of_the_boxs_edge():
    box = region_box(FOREGROUND, 0.0)  # edges 1, 0.4, 1
    settings = AugmentationSettings(rotation=0, scale=0, shift=0.05)
    moved = [augment_box(np.random.default_rng(i), box, EXTENT_MM, settings).centre - box.centre for i in range(300)]
    largest = np.abs(moved).max(0)
    assert np.all(largest <= 0.05 * np.array([1, 0.4, 1]))
    np.testing.assert_allclose(largest, 0.05 * np.array([1, 0.4, 1]), rtol=0.1)


@given(st.tuples(*[st.floats(-3, 3)] * 3))
def test_rotation_matrix_agrees_with_scipy(angles):
    # ours turns each pair of axes from the lower towards the higher one; scipy's y turns z towards x
    a, b, c = angles
    expected = Rotation.from_euler("xyz", [a, -b, c]).as_matrix()
    np.testing.assert_allclose(rotation_matrix(np.array(angles)), expected, atol=1e-12)


def test_axes_are_scaled_each_by_itself_within_their_range():
    box = region_box(FOREGROUND, 0.0)
    settings = AugmentationSettings(**STILL, axis_scale=0.1)
    boxes = [augment_box(np.random.default_rng(i), box, EXTENT_MM, settings) for i in range(300)]
    factors = np.array([np.diag(scaled.matrix) / np.diag(box.matrix) for scaled in boxes])
    assert np.all(np.abs(factors - 1) <= 0.1)
    np.testing.assert_allclose(factors.min(0), 0.9, atol=0.005)
    np.testing.assert_allclose(factors.max(0), 1.1, atol=0.005)
    assert np.all(np.abs(np.corrcoef(factors.T) - np.eye(3)) < 0.2)  # 3.5 standard deviations of 300 draws
    for scaled in boxes:
        assert not isinstance(scaled, DeformedBox)
        np.testing.assert_allclose(scaled.matrix, np.diag(np.diag(scaled.matrix)), atol=1e-12)


@given(st.integers(0, 2**32))
def test_deformation_leaves_the_affine_map_and_all_random_numbers_before_it(seed):
    box = region_box(FOREGROUND, 0.1)
    plain, deformed = AugmentationSettings(), AugmentationSettings(deformation=0.08)
    affine = augment_box(np.random.default_rng(seed), box, EXTENT_MM, plain)
    moved = augment_box(np.random.default_rng(seed), box, EXTENT_MM, deformed)
    assert isinstance(moved, DeformedBox)
    np.testing.assert_array_equal(moved.matrix, affine.matrix)
    np.testing.assert_array_equal(moved.centre, affine.centre)
    again = augment_box(np.random.default_rng(seed), box, EXTENT_MM, deformed)
    np.testing.assert_array_equal(again.deformation.amplitudes, moved.deformation.amplitudes)


def test_what_is_off_draws_nothing():
    first, second = np.random.default_rng(0), np.random.default_rng(0)
    augment_box(first, Box.whole(), EXTENT_MM, AugmentationSettings())
    second.uniform(size=7)  # three angles, a scale, a shift along three axes
    assert first.random() == second.random()


def test_frequencies_keep_to_what_was_asked_for():
    for frequency in (0.1, 1.0, 3.0):
        lengths = np.concatenate(
            [
                np.linalg.norm(random_deformation(np.random.default_rng(i), 0.05, frequency).vectors, axis=1)
                for i in range(100)
            ]
        )
        # a wave across an edge, two box units, is pi radians a unit
        assert lengths.max() <= frequency * np.pi + 1e-9
        assert lengths.min() >= min(0.25, frequency) * np.pi - 1e-9

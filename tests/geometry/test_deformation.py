"""Smooth deformations: by hand, undone, and never folded."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.geometry.coordinates import grid_points
from impulse_nnunet.geometry.deformation import STEEPEST, Deformation, DeformedBox
from impulse_nnunet.geometry.resampling import image_on_box, images_at_once
from impulse_nnunet.training.boxes import random_deformation

STILL = Deformation(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))


def points_of(seed=0, number=200):
    return np.random.default_rng(seed).uniform(-1.5, 1.5, (number, 3))


def wave(amplitude, vector, phase=0.0):
    return Deformation(np.array([amplitude], float), np.array([vector], float), np.array([float(phase)]))


def jacobians(deformation, points, step=1e-5):
    """Central differences: (n, 3, 3)."""
    moves = step * np.eye(3)
    columns = [(deformation(points + move) - deformation(points - move)) / (2 * step) for move in moves]
    return np.stack(columns, -1)


def test_one_wave_by_hand():
    # along d with a quarter of a turn for each unit of h: at h = 1 the full amplitude, at -1 its opposite
    moved = wave([0.2, 0, 0], [0, np.pi / 2, 0])(np.array([[0.0, 0, 0], [0, 1, 0], [0.5, -1, 0.3]]))
    np.testing.assert_allclose(moved, [[0, 0, 0], [0.2, 1, 0], [0.3, -1, 0.3]], atol=1e-12)


def test_waves_are_applied_one_after_the_other():
    first, second = wave([0.2, 0, 0], [0, 1, 0], 0.3), wave([0, 0.3, 0], [2, 0, 0], -1)
    both = Deformation(
        np.concatenate([first.amplitudes, second.amplitudes]),
        np.concatenate([first.vectors, second.vectors]),
        np.concatenate([first.phases, second.phases]),
    )
    np.testing.assert_allclose(both(points_of()), second(first(points_of())), atol=1e-12)


@given(st.integers(0, 2**32), st.floats(0.01, 0.5), st.floats(0.1, 8))
@settings(deadline=None)
def test_the_inverse_undoes_it(seed, deviation, frequency):
    deformation = random_deformation(np.random.default_rng(seed), deviation, frequency)
    points = points_of(seed)
    np.testing.assert_allclose(deformation.inverse(deformation(points)), points, atol=1e-9)


@pytest.mark.parametrize("phase", np.linspace(-np.pi, np.pi, 9))
def test_the_steepest_wave_is_undone_too(phase):
    for steepness in (-STEEPEST, STEEPEST):
        steep = wave([steepness, 0, 0], [1, 0, 0], phase)
        np.testing.assert_allclose(steep.inverse(steep(10 * points_of())), 10 * points_of(), atol=1e-9)


@given(st.integers(0, 2**32), st.floats(0.01, 0.5), st.floats(0.1, 8))
@settings(deadline=None)
def test_it_never_folds(seed, deviation, frequency):
    deformation = random_deformation(np.random.default_rng(seed), deviation, frequency)
    determinants = np.linalg.det(jacobians(deformation, points_of(seed)))
    steepness = np.abs(deformation.steepness)
    assert np.all(steepness <= STEEPEST + 1e-12)
    # the product over the waves of 1 -+ |amplitude . vector|, whatever the position
    assert determinants.min() >= np.prod(1 - steepness) - 1e-6 > 0
    assert determinants.max() <= np.prod(1 + steepness) + 1e-6


def test_the_determinant_of_one_wave_is_the_rank_one_formula():
    steep = wave([0.1, 0.2, -0.1], [1.0, 2.0, 0.5], 0.4)
    expected = 1 + 0.45 * np.cos(points_of() @ [1.0, 2.0, 0.5] + 0.4)  # 0.1 + 0.4 - 0.05
    np.testing.assert_allclose(np.linalg.det(jacobians(steep, points_of())), expected, atol=1e-8)


def test_a_wave_that_could_fold_is_refused():
    with pytest.raises(ValueError, match=r"deformation: found a wave of steepness 0\.6, expected at most 0\.5; lower"):
        wave([0.3, 0, 0], [2, 0, 0])


def test_the_displacement_has_the_standard_deviation_that_was_asked_for():
    moved = [
        random_deformation(np.random.default_rng(seed), 0.08, 1.0)(points) - points
        for seed in range(400)
        for points in [points_of(seed, 20)]
    ]
    # 8000 displacements of 400 deformations; the relative error of a standard deviation is about 1 / sqrt(2 * 400)
    np.testing.assert_allclose(np.concatenate(moved).std(axis=0), 0.08, rtol=0.12)


def test_tensors_are_moved_as_arrays_are():
    deformation = random_deformation(np.random.default_rng(3), 0.1, 1.0)
    moved = deformation.on(grid_points((3, 4, 5), torch.float64))
    expected = deformation(grid_points((3, 4, 5), torch.float64).reshape(-1, 3).numpy())
    np.testing.assert_allclose(moved.reshape(-1, 3).numpy(), expected, atol=1e-12)
    assert deformation.on(grid_points((3, 4, 5))).dtype == torch.float32


def test_a_deformed_box_and_back():
    box = Box(np.array([[0.5, 0.1, 0], [-0.1, 0.6, 0.2], [0, 0, 0.4]]), np.array([0.1, -0.2, 0.3]))
    deformation = random_deformation(np.random.default_rng(5), 0.1, 1.0)
    deformed = DeformedBox(box.matrix, box.centre, deformation)
    np.testing.assert_allclose(deformed.to_image(points_of()), box.to_image(deformation(points_of())), atol=1e-12)
    np.testing.assert_allclose(deformed.from_image(deformed.to_image(points_of())), points_of(), atol=1e-9)


def test_without_waves_the_image_is_the_boxs():
    volume = torch.randn(2, 6, 8, 10)
    box = Box.from_faces([-0.9, -0.5, -1], [0.4, 1, 0.7])
    still = DeformedBox(box.matrix, box.centre, STILL)
    assert torch.equal(image_on_box(volume, still, (4, 6, 8)), image_on_box(volume, box, (4, 6, 8)))


def test_a_linear_image_shows_where_its_voxels_came_from():
    # an image that holds its own positions, interpolated exactly away from its faces
    volume = grid_points((40, 40, 40)).movedim(-1, 0)
    deformation = random_deformation(np.random.default_rng(7), 0.08, 1.0)
    box = DeformedBox(0.5 * np.eye(3), np.zeros(3), deformation)
    shown = image_on_box(volume, box, (5, 6, 7)).movedim(0, -1).reshape(-1, 3).numpy()
    expected = box.to_image(grid_points((5, 6, 7), torch.float64).reshape(-1, 3).numpy())
    assert np.abs(expected).max() < 0.95
    np.testing.assert_allclose(shown, expected, atol=1e-5)
    at_once = images_at_once([volume, volume], [box, Box.whole()], (5, 6, 7))
    torch.testing.assert_close(at_once[0], image_on_box(volume, box, (5, 6, 7)), rtol=0, atol=1e-6)

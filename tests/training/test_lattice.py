"""Labels on a grid: as the points' labels say, value by value."""

import numpy as np
import pytest

from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.geometry.coordinates import grid_points
from impulse_nnunet.settings import AugmentationSettings
from impulse_nnunet.training.boxes import augment_box
from impulse_nnunet.training.lattice import lattice_labels
from impulse_nnunet.training.points import IGNORED, labels_at


def test_by_hand():
    segmentation = np.array([[[1, 2, 3, 4]], [[-1, 6, 7, 8]]], np.int16)
    whole = lattice_labels(segmentation, Box.whole(), (2, 1, 4), ignore_label=7)
    assert whole.tolist() == [1, 2, 3, 4, 0, 6, IGNORED, 8]
    # columns of the grid at 0.875 -+ 0.25: in the last voxel (0.5 to 1) and outside; with 0.75 on its two faces
    right = Box(np.diag([1.0, 1.0, 0.5]), np.array([0.0, 0.0, 0.875]))
    assert lattice_labels(segmentation, right, (2, 1, 2)).tolist() == [4, IGNORED, 8, IGNORED]
    faces = Box(np.diag([1.0, 1.0, 0.5]), np.array([0.0, 0.0, 0.75]))
    assert lattice_labels(segmentation, faces, (2, 1, 2)).tolist() == [4, 4, 8, 8]
    turned = Box(np.array([[-1.0, 0, 0], [0, 1, 0], [0, 0, -1]]), np.zeros(3))  # half a turn about h
    assert lattice_labels(segmentation, turned, (2, 1, 4)).tolist() == [8, 7, 6, 0, 4, 3, 2, 1]


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int8, np.int32, np.float32])
@pytest.mark.parametrize("seed", range(6))
def test_random_boxes_as_the_points_way(seed, dtype):
    rng = np.random.default_rng(seed)
    shape = rng.integers(5, 40, 3)
    grid = tuple(int(n) for n in rng.integers(1, 24, 3))
    low = 0 if dtype == np.uint8 else -2
    segmentation = rng.integers(low, 9, shape).astype(dtype)
    lower, upper = -rng.uniform(0.2, 1, 3), rng.uniform(0.2, 1, 3)
    box = augment_box(rng, Box.from_faces(lower, upper), rng.uniform(50, 300, 3), AugmentationSettings(rotation=1.0))
    for ignore in (None, 0, 5):
        expected = labels_at(segmentation, box, grid_points(grid).reshape(-1, 3).numpy(), ignore)
        np.testing.assert_array_equal(lattice_labels(segmentation, box, grid, ignore), expected)


@pytest.mark.parametrize("ignore", [None, 3])
def test_a_deformed_box_as_the_points_way(ignore):
    rng = np.random.default_rng(1)
    segmentation = rng.integers(-1, 9, (20, 30, 25))
    box = augment_box(rng, Box.whole(), np.array([200.0, 300, 250]), AugmentationSettings(deformation=0.1))
    positions = box.to_image(grid_points((8, 9, 10)).reshape(-1, 3).numpy().astype(np.float64))
    index = np.clip(np.floor((positions + 1) / 2 * segmentation.shape).astype(int), 0, np.array(segmentation.shape) - 1)
    expected = np.maximum(segmentation[tuple(index.T)], 0)
    expected[(np.abs(positions).max(1) > 1) | (expected == ignore)] = IGNORED
    assert (expected == IGNORED).any()
    np.testing.assert_array_equal(lattice_labels(segmentation, box, (8, 9, 10), ignore), expected)


@pytest.mark.parametrize("shape", [(8, 12, 16), (16, 24, 32), (12, 18, 24), (7, 5, 3)])
def test_centres_on_borders_between_voxels_fall_to_the_same_side(shape):
    # the grid's centres lie on borders where the image has twice (or four times) as many voxels
    segmentation = np.arange(np.prod(shape)).reshape(shape)
    for box in (Box.whole(), Box.from_faces([-0.5, -1, 0], [0.5, 0.75, 1])):
        expected = labels_at(segmentation, box, grid_points((4, 6, 8)).reshape(-1, 3).numpy(), None)
        np.testing.assert_array_equal(lattice_labels(segmentation, box, (4, 6, 8)), expected)


def test_a_view_of_a_larger_array():
    whole = np.arange(2 * 6 * 8 * 10).reshape(2, 6, 8, 10)
    for view in (whole[1], whole[1, ::2], whole[0].transpose(2, 1, 0)):
        expected = labels_at(view, Box.whole(), grid_points((3, 4, 5)).reshape(-1, 3).numpy(), None)
        np.testing.assert_array_equal(lattice_labels(view, Box.whole(), (3, 4, 5)), expected)

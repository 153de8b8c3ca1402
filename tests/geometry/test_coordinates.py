import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from impulse_nnunet.geometry.coordinates import grid_points, inside, sample_points, voxel_centres, voxel_indices

SHAPE = (3, 4, 5)  # unequal, so that a wrong axis order cannot go unseen


def indices_of(points, shape):
    """Continuous voxel indices as scipy counts them, from the convention: index k at (2k + 1) / n - 1."""
    return ((np.asarray(points) + 1) * np.asarray(shape) - 1) / 2


def test_centres_of_four_voxels():
    # faces at -1, -0.5, 0, 0.5, 1; a centre halfway between two faces
    assert voxel_centres(4).tolist() == [-0.75, -0.25, 0.25, 0.75]


def test_centre_of_one_voxel():
    assert voxel_centres(1).tolist() == [0.0]


def test_grid_points_are_in_d_h_w_order():
    points = grid_points((2, 3, 4), torch.float64)
    assert points.shape == (2, 3, 4, 3)
    # voxel (1, 0, 2): 3/2 - 1, 1/3 - 1, 5/4 - 1
    np.testing.assert_allclose(points[1, 0, 2], [0.5, -2 / 3, 0.25])


def test_a_single_bright_voxel_is_read_back_at_its_centre_and_nowhere_else():
    volume = torch.zeros(1, 1, *SHAPE)
    volume[0, 0, 2, 1, 3] = 1
    # by the convention: 5/3 - 1, 3/4 - 1 and 7/5 - 1
    bright = torch.tensor([[[2 / 3, -1 / 4, 2 / 5]]])
    assert sample_points(volume, bright).item() == pytest.approx(1)
    steps = [(np.arange(n) + 0.5) / n * 2 - 1 for n in SHAPE]
    everywhere = torch.tensor(np.stack(np.meshgrid(*steps, indexing="ij"), -1), dtype=torch.float32)
    torch.testing.assert_close(sample_points(volume, everywhere[None]), volume, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("mode", "order", "padding", "scipy_padding"),
    [
        ("bilinear", 1, "border", "nearest"),
        ("bilinear", 1, "zeros", "grid-constant"),
        ("nearest", 0, "border", "nearest"),
    ],
)
def test_sampling_agrees_with_scipy(mode, order, padding, scipy_padding):
    rng = np.random.default_rng(0)
    volume, points = rng.normal(size=SHAPE), rng.uniform(-1.3, 1.3, (200, 3))
    ours = sample_points(torch.tensor(volume)[None, None], torch.tensor(points)[None], mode, padding)
    expected = ndimage.map_coordinates(volume, indices_of(points, SHAPE).T, order=order, mode=scipy_padding)
    np.testing.assert_allclose(ours[0, 0], expected, atol=1e-12)


@pytest.mark.parametrize("between", [(6,), (2, 3), (1, 2, 3)])
def test_sampling_keeps_the_dimensions_of_the_points(between):
    volume, points = torch.rand(2, 4, *SHAPE), torch.rand(2, 6, 3)
    flat = sample_points(volume, points)
    shaped = sample_points(volume, points.reshape(2, *between, 3))
    assert shaped.shape == (2, 4, *between)
    torch.testing.assert_close(shaped.reshape(2, 4, 6), flat)


def test_voxels_that_hold_positions():
    points = np.array([[-1, -1, -1], [1, 1, 1], [-0.01, 0.4, 0.5], [-3, 0.1, 3]])
    # third: 0.495 * 2 = 0.99 -> 0, 0.7 * 3 = 2.1 -> 2, 0.75 * 4 = 3 -> 3; fourth lies outside along d and w
    assert voxel_indices(points, (2, 3, 4)).tolist() == [[0, 0, 0], [1, 2, 3], [0, 2, 3], [0, 1, 3]]


@given(st.tuples(*[st.integers(1, 40)] * 3))
def test_each_centre_lies_in_its_own_voxel(shape):
    index = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), -1)
    points = grid_points(shape, torch.float64).reshape(-1, 3).numpy()
    np.testing.assert_array_equal(voxel_indices(points, shape), index)


def test_inside_counts_the_faces_in():
    points = np.array([[1, -1, 0], [0, 0, 1.001], [-1.5, 0, 0], [0, 0, 0]])
    assert inside(points).tolist() == [True, False, False, True]

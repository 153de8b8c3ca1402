"""Indices and world positions, by hand."""

import numpy as np

from impulse_nnunet.geometry.world import indices_at, positions_mm

# (d, h, w) voxels of 2 x 3 x 4 mm; d runs along z, h along -y, w along x; the first voxel lies at (10, 20, 30)
TO_WORLD = np.array([[0.0, 0, 4, 10], [0, -3, 0, 20], [2, 0, 0, 30], [0, 0, 0, 1]])


def test_positions():
    found = positions_mm(np.array([[0, 0, 0], [1, 2, 3]]), TO_WORLD)
    np.testing.assert_allclose(found, [[10, 20, 30], [22, 14, 32]])


def test_nearest_indices_may_lie_outside():
    found = indices_at(np.array([[22.9, 14.2, 31.4], [2.0, 20.0, 30.0]]), TO_WORLD)
    np.testing.assert_array_equal(found, [[1, 2, 3], [0, 0, -2]])
    assert found.dtype == np.int64

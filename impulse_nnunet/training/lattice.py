"""Labels of all voxels of the input grid in a box, for dense networks: compiled, and free of Python's lock."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.geometry.coordinates import grid_points, voxel_centres
from impulse_nnunet.geometry.deformation import DeformedBox
from impulse_nnunet.training.points import IGNORED, labels_at

NO_LABEL = -1  # negative values have become background when it is compared


def lattice_labels(
    segmentation: np.ndarray, box: Box, grid: Sequence[int], ignore_label: int | None = None
) -> np.ndarray:
    """What :func:`~impulse_nnunet.training.points.labels_at` gives at the voxel centres of a grid, in order.

    Args:
        segmentation: (d, h, w) native labels; negative values are background.
        box: Where the grid lies in the image.
        grid: (d, h, w), voxels.
        ignore_label: Becomes IGNORED, as do centres outside the image.

    Returns:
        (voxel,) int64.
    """
    if isinstance(box, DeformedBox):
        return labels_at(segmentation, box, grid_points(grid).reshape(-1, 3).numpy(), ignore_label)
    d, h, w = (voxel_centres(size).numpy().astype(np.float64) for size in grid)
    labels = np.empty(tuple(grid), np.int64)
    ignored = NO_LABEL if ignore_label is None else ignore_label
    _label(np.asarray(segmentation), box.matrix, box.centre, d, h, w, ignored, labels)
    return labels.ravel()


compiled = numba.njit(cache=True, nogil=True, error_model="numpy")  # no fastmath: it rounds as NumPy does


@compiled
def _voxel(position: float, size: int) -> int:
    """Index of the voxel that holds an image position; outside the image, the nearest."""
    return np.uintp(min(max((position + 1) * 0.5 * size, 0.0), size - 1.0))  # unsigned: no check for negative indices


@compiled
def _label(
    segmentation: np.ndarray,
    matrix: np.ndarray,
    centre: np.ndarray,
    depths: np.ndarray,
    heights: np.ndarray,
    widths: np.ndarray,
    ignore_label: int,
    labels: np.ndarray,
) -> None:
    """Write the label at each centre, (depth, height, width); an image position is ``matrix @ p + centre``."""
    depth, height, width = segmentation.shape
    for i in range(depths.size):
        for j in range(heights.size):
            z0 = matrix[0, 0] * depths[i] + matrix[0, 1] * heights[j]
            y0 = matrix[1, 0] * depths[i] + matrix[1, 1] * heights[j]
            x0 = matrix[2, 0] * depths[i] + matrix[2, 1] * heights[j]
            for k in range(widths.size):
                z = z0 + matrix[0, 2] * widths[k] + centre[0]
                y = y0 + matrix[1, 2] * widths[k] + centre[1]
                x = x0 + matrix[2, 2] * widths[k] + centre[2]
                label = max(np.int64(segmentation[_voxel(z, depth), _voxel(y, height), _voxel(x, width)]), 0)
                known = (abs(z) <= 1) & (abs(y) <= 1) & (abs(x) <= 1) & (label != ignore_label)
                labels[i, j, k] = label if known else IGNORED

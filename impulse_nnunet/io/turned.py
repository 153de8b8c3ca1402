"""Label maps with their axes in the order and direction of another grid's: the same voxels, none resampled."""

from __future__ import annotations

import numpy as np

from impulse_nnunet.io.affines import nearest_axes, nearest_rotation
from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.io.label_maps import LabelMap


def turned_like(label_map: LabelMap, grid: FileGrid) -> LabelMap:
    """A label map whose axes run as nearly as axes can along those of a grid.

    Args:
        label_map: In any orientation.
        grid: Whose axes to follow; its size and place do not matter.

    Returns:
        The same labels at the same places; the array may be a view.
    """
    own = label_map.grid
    axes = nearest_axes(nearest_rotation(grid.direction.T @ own.direction))  # rows: the grid's axes, columns: its own
    order = np.abs(axes).argmax(1)
    signs = axes[range(3), order]
    labels = label_map.labels.T.transpose(order)[tuple(slice(None, None, int(sign)) for sign in signs)]
    far = np.where(signs < 0, np.asarray(own.size)[order] - 1, 0) * own.spacing_mm[order]
    x, y, z = labels.shape
    turned = FileGrid(
        size=(x, y, z),
        spacing_mm=own.spacing_mm[order],
        origin=own.origin + own.direction[:, order] @ far,
        direction=own.direction[:, order] * signs,
    )
    return LabelMap(labels.T, turned, label_map.path)

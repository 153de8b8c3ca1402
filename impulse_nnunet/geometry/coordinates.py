"""The one coordinate convention of the project.

Dense tensors are (batch, channel, d, h, w): array axes as nnU-Net's reader and transpose leave them. Points are
(batch, point, 3) in (d, h, w) order. In each box, -1 and 1 are the outer FACES: of n voxels along an axis, voxel k has
its centre at (2k + 1) / n - 1 (what ``torch`` calls ``align_corners=False``). ``grid_sample`` wants (x, y, z); the flip
happens in :func:`sample_points` alone.

Boxes inside an image, by the same convention: :mod:`impulse_nnunet.geometry.boxes`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def voxel_centres(size: int, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Tensor:
    """Centres of ``size`` voxels along one axis: shape (size,), values in (-1, 1)."""
    return (2 * torch.arange(size, dtype=dtype, device=device) + 1) / size - 1


def grid_points(shape: Sequence[int], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Tensor:
    """Centres of all voxels of a grid: shape (d, h, w, 3), (d, h, w) order, values in (-1, 1)."""
    axes = [voxel_centres(size, dtype, device) for size in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def sample_points(volume: Tensor, points: Tensor, mode: str = "bilinear", padding: str = "border") -> Tensor:
    """Interpolate a volume at points.

    Args:
        volume: (batch, channel, d, h, w).
        points: (batch, ..., 3) with one to three dimensions in between, (d, h, w) order, [-1, 1] at the volume's faces.
        mode: ``bilinear`` (tri-linear in 3D) or ``nearest``.
        padding: ``border`` repeats the outermost values, ``zeros`` puts 0 outside.

    Returns:
        (batch, channel, ...): the values, with the points' own dimensions.
    """
    between = points.shape[1:-1]
    grid = points.flip(-1).reshape(points.shape[0], *between, *([1] * (3 - len(between))), 3)
    values = functional.grid_sample(volume, grid, mode=mode, padding_mode=padding, align_corners=False)
    return values.reshape(volume.shape[0], volume.shape[1], *between)


def voxel_indices(points: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Indices (n, 3) of the voxels that hold the image positions (n, 3); outside the image, the nearest voxel."""
    size = np.asarray(shape)
    return np.clip(np.floor((points + 1) / 2 * size).astype(np.int64), 0, size - 1)


def inside(points: np.ndarray) -> np.ndarray:
    """Which positions (n, 3) lie within the faces: (n,) bool."""
    return np.all(np.abs(points) <= 1, axis=-1)

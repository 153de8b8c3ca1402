"""The one coordinate convention of the project.

Dense tensors are (batch, channel, d, h, w): array axes as nnU-Net's reader and transpose leave them. Points are
(batch, point, 3) in (d, h, w) order. In each box, -1 and 1 are the outer FACES: of n voxels along an axis, voxel k has
its centre at (2k + 1) / n - 1 (what ``torch`` calls ``align_corners=False``). ``grid_sample`` wants (x, y, z); the flip
happens in :func:`sample_points` alone.

A *box* is a possibly rotated parallelepiped inside an image. Its map takes positions p in the box, each in [-1, 1], to
positions in the image: ``image = matrix @ p + centre``, both in the convention above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Box:
    """A box inside an image: ``image position = matrix @ box position + centre`` (see the module's docstring).

    Args:
        matrix: (3, 3) float64.
        centre: (3,) float64.
    """

    matrix: np.ndarray
    centre: np.ndarray

    @classmethod
    def whole(cls) -> Box:
        """The whole image."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_faces(cls, lower: Sequence[float] | np.ndarray, upper: Sequence[float] | np.ndarray) -> Box:
        """An upright box from its outer faces, (3,) each, in image positions."""
        lower, upper = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
        return cls(np.diag((upper - lower) / 2), (upper + lower) / 2)

    @property
    def faces(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper faces (3,) of an upright box, in image positions."""
        half = np.diag(self.matrix)
        return self.centre - half, self.centre + half

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Map (n, 3) box positions to image positions."""
        return points @ self.matrix.T + self.centre

    def from_image(self, points: np.ndarray) -> np.ndarray:
        """Map (n, 3) image positions to box positions."""
        return (points - self.centre) @ np.linalg.inv(self.matrix).T


def faces_from_indices(lower: np.ndarray, upper: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Faces, in image positions, of the voxels ``lower`` (included) to ``upper`` (excluded) of an image."""
    size = np.asarray(shape, np.float64)
    return 2 * np.asarray(lower) / size - 1, 2 * np.asarray(upper) / size - 1


def voxel_indices(points: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Indices (n, 3) of the voxels that hold the image positions (n, 3); outside the image, the nearest voxel."""
    size = np.asarray(shape)
    return np.clip(np.floor((points + 1) / 2 * size).astype(np.int64), 0, size - 1)


def inside(points: np.ndarray) -> np.ndarray:
    """Which positions (n, 3) lie within the faces: (n,) bool."""
    return np.all(np.abs(points) <= 1, axis=-1)


def bounding_box(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """First (included) and last (excluded) index of the nonzero voxels along each axis; None for an empty mask."""
    lower, upper = [], []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        found = np.flatnonzero(mask.any(axis=others))
        if not len(found):
            return None
        lower.append(found[0])
        upper.append(found[-1] + 1)
    return np.asarray(lower), np.asarray(upper)

"""Every so many voxels of an image, and where they lie in the world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST_VOXELS = 1_500_000  # of a sample


@dataclass(frozen=True)
class ImageSample:
    """Values of an image.

    Args:
        values: (d, h, w) float32, every so many voxels.
        to_world: 4 x 4, (d, h, w) indices of ``values`` to LPS, mm.
    """

    values: np.ndarray
    to_world: np.ndarray

    def at(self, world: np.ndarray) -> np.ndarray:
        """Values nearest to world positions (point, 3); places outside the image get its nearest voxel."""
        inverse = np.linalg.inv(self.to_world)
        indices = np.rint(world @ inverse[:3, :3].T + inverse[:3, 3]).astype(np.int64)
        indices = np.clip(indices, 0, np.asarray(self.values.shape) - 1)
        return np.asarray(self.values[tuple(indices.T)])


def step_of(shape: tuple[int, ...]) -> int:
    """Distance of the voxels, along each axis, that makes a sample of a (d, h, w) array of :data:`MOST_VOXELS`."""
    return max(1, int(np.ceil((np.prod(shape, dtype=np.float64) / MOST_VOXELS) ** (1 / 3))))


def thinned(to_world: np.ndarray, step: int) -> np.ndarray:
    """The matrix of every ``step``-th voxel."""
    matrix = to_world.copy()
    matrix[:3, :3] *= step
    return matrix

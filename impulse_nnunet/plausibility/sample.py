"""Every so many voxels of an image, and where they lie in the world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from impulse_nnunet.geometry.world import indices_at, positions_mm

SAMPLE = "impulse_sample"  # in the properties of a case that is predicted
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
        indices = np.clip(indices_at(world, self.to_world), 0, np.asarray(self.values.shape) - 1)
        return np.asarray(self.values[tuple(indices.T)])


def step_of(shape: tuple[int, ...]) -> int:
    """Distance of the voxels, along each axis, that makes a sample of a (d, h, w) array of :data:`MOST_VOXELS`."""
    return max(1, int(np.ceil((np.prod(shape, dtype=np.float64) / MOST_VOXELS) ** (1 / 3))))


def thinned(to_world: np.ndarray, step: int) -> np.ndarray:
    """The matrix of every ``step``-th voxel."""
    matrix = to_world.copy()
    matrix[:3, :3] *= step
    return matrix


def covers(shape: tuple[int, ...], to_world: np.ndarray, image: ImageSample) -> bool:
    """Whether a grid (shape (d, h, w) and matrix of its indices) holds the whole image, to one voxel of its sample."""
    last = np.asarray(image.values.shape) - 1
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * last
    world = positions_mm(corners, image.to_world)
    inverse = np.linalg.inv(to_world)
    indices = world @ inverse[:3, :3].T + inverse[:3, 3]
    slack = np.abs(inverse[:3, :3] @ image.to_world[:3, :3]).sum(1) + 0.5
    return bool(np.all(indices >= -slack) and np.all(indices <= np.asarray(shape) - 1 + slack))

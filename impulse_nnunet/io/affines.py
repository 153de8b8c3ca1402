"""Small mathematics of affine matrices (4, 4)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np


def largest_offset_mm(first: np.ndarray, second: np.ndarray, shape: Sequence[int]) -> float:
    """Largest distance between the world positions that two matrices give to the corners of an array, mm."""
    corners = np.array([[*index, 1] for index in itertools.product(*((0, n - 1) for n in shape))])
    return float(np.linalg.norm(((first - second) @ corners.T)[:3], axis=0).max())


def nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """The orthonormal matrix (3, 3) nearest to one of full rank; reflections stay reflections."""
    left, _, right = np.linalg.svd(matrix)
    return np.asarray(left @ right)


def nearest_axes(direction: np.ndarray) -> np.ndarray:
    """The matrix (3, 3) of 0, 1 and -1, one in each row and column, that is nearest to an orthonormal one."""
    best = max(
        itertools.permutations(range(3)), key=lambda order: sum(abs(direction[row, c]) for c, row in enumerate(order))
    )
    axes = np.zeros((3, 3))
    for column, row in enumerate(best):
        axes[row, column] = 1.0 if direction[row, column] >= 0 else -1.0
    return axes


def angle_degrees(first: np.ndarray, second: np.ndarray) -> float:
    """Angle of the rotation that takes one orthonormal matrix (3, 3) to another, 0 to 180 degrees."""
    return float(np.degrees(np.arccos(np.clip((np.trace(first.T @ second) - 1) / 2, -1, 1))))

"""Indices of an array and positions in the world, by the 4 x 4 matrix that takes (d, h, w, 1) to LPS, mm."""

from __future__ import annotations

import numpy as np


def positions_mm(indices: np.ndarray, to_world: np.ndarray) -> np.ndarray:
    """World positions (n, 3) of (d, h, w) indices, which need not be whole."""
    return np.asarray(indices, np.float64) @ to_world[:3, :3].T + to_world[:3, 3]


def indices_at(points_mm: np.ndarray, to_world: np.ndarray) -> np.ndarray:
    """Nearest (d, h, w) indices (n, 3), int64, of world positions; they may lie outside the array."""
    inverse = np.linalg.inv(to_world)
    return np.rint(np.asarray(points_mm) @ inverse[:3, :3].T + inverse[:3, 3]).astype(np.int64)

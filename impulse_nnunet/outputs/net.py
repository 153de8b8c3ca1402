"""The net that all surfaces of a label map are parts of: where two labels meet there is one border, not two.

Surface nets (Gibson 1998, "Constrained elastic surface nets"): a point at each corner of a voxel where labels meet, a
square at each side between two labels. Smoothing moves the points of all labels at once (Taubin 1995, "A signal
processing approach to fair surface design", which does not shrink), none further than it is told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse

from impulse_nnunet.geometry.boxes import bounding_box
from impulse_nnunet.io.grid import FileGrid

STEPS = 30  # pairs of smoothing steps
SHRINK, GROW = 0.6, -0.61  # Taubin's lambda and mu: pass-band frequency 1/0.6 - 1/0.61 = 0.027


@dataclass(frozen=True, kw_only=True)
class Net:
    """The borders of labels.

    Args:
        corners: (n, 3) float64 (x, y, z), in voxels from the centre of some voxel.
        places: (n, 3) the same in the world, mm.
        points: (n, 3) where smoothing moved them, mm; ``places`` without smoothing.
        triangles: (2 m, 3) of points, two for each side of a voxel, one after the other; counter-clockwise seen from
            the second label.
        sides: (m, 2) labels on both sides, 0 for what is none.
    """

    corners: np.ndarray
    places: np.ndarray
    points: np.ndarray
    triangles: np.ndarray
    sides: np.ndarray

    def of(self, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Which sides of voxels border a label with it as their first, and as their second."""
        return self.sides[:, 0] == label, self.sides[:, 1] == label


def label_net(labels: np.ndarray, grid: FileGrid, used: np.ndarray, smooth_mm: float) -> Net:
    """The net of some labels.

    Args:
        labels: (d, h, w) unsigned integers.
        grid: Their place in the world.
        used: Labels with voxels, ascending; the others are background.
        smooth_mm: Move no point further than this; 0 does not smooth.
    """
    codes, first = _codes(labels, used)
    corners, squares, sides = _squares(codes)
    to_world = grid.direction.T
    shift = grid.origin + (grid.spacing_mm * first[::-1]) @ to_world
    flat = corners * grid.spacing_mm
    places = flat @ to_world + shift
    moved = _smoothed(flat, squares, smooth_mm) if smooth_mm else flat
    triangles = _triangles(moved, squares)
    if np.linalg.det(grid.direction) < 0:
        triangles = triangles[:, ::-1]
    numbers = np.concatenate([[0], used])
    points = moved @ to_world + shift if smooth_mm else places
    return Net(corners=corners, places=places, points=points, triangles=triangles, sides=numbers[sides])


def _codes(labels: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labels' numbers in ``used``, from 1 on, in their bounding box with a border of 0, and its first index."""
    table = np.zeros(int(max(labels.max(), used.max())) + 1, np.uint8 if len(used) < 256 else np.uint16)
    table[used] = np.arange(1, len(used) + 1)
    faces = bounding_box(table.astype(bool)[labels])
    lower, upper = faces if faces is not None else (np.zeros(3, int), np.zeros(3, int))
    box = tuple(slice(start, stop) for start, stop in zip(lower, upper, strict=True))
    return np.pad(table[labels[box]], 1), np.asarray(lower) - 1


def _squares(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sides of voxels where codes (d, h, w) differ; they have a border of 0.

    Returns:
        Corners (n, 3) float64 (x, y, z) in voxels from the first one's centre; squares (m, 4) of corners,
        counter-clockwise seen from the second code; codes on both sides (m, 2).
    """
    lattice = tuple(n + 1 for n in codes.shape)
    steps = np.array([lattice[1] * lattice[2], lattice[2], 1])  # between corners, along d, h, w
    squares, sides = [], []
    for axis in range(3):
        before, after = (
            np.moveaxis(np.moveaxis(codes, axis, 0)[part], 0, axis) for part in (slice(-1), slice(1, None))
        )
        where = np.nonzero(before != after)
        sides.append(np.stack([before[where], after[where]], axis=1))
        first = np.ravel_multi_index(where, lattice) + steps[axis]
        one, other = steps[axis - 1], steps[axis - 2]  # right-handed in (x, y, z)
        squares.append(first[:, None] + np.array([0, one, one + other, other]))
    used, corners = np.unique(np.concatenate(squares), return_inverse=True)
    places = np.stack(np.unravel_index(used, lattice)[::-1], axis=1) - 0.5
    return places, corners.reshape(-1, 4), np.concatenate(sides)


def _smoothed(points: np.ndarray, squares: np.ndarray, largest_mm: float) -> np.ndarray:
    """Points (n, 3), mm, after smoothing along the edges of the squares; none moves further than ``largest_mm``."""
    edges = np.concatenate([squares, squares[:, [1, 2, 3, 0]]], axis=1).reshape(-1, 2, 4).transpose(0, 2, 1)
    edges = edges.reshape(-1, 2)
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    mean = scipy.sparse.coo_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(points),) * 2).tocsr()
    mean.data[:] = 1  # an edge of several squares counts once
    mean = (scipy.sparse.diags_array(1 / mean.sum(axis=1)) @ mean).tocsr()
    moved = points.copy()
    for _ in range(STEPS):
        for share in (SHRINK, GROW):
            moved += share * (mean @ moved - moved)
        way = moved - points
        length = np.linalg.norm(way, axis=1, keepdims=True)
        moved = points + way * np.minimum(1, largest_mm / np.maximum(length, 1e-12))
    return moved


def _triangles(points: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """(2 m, 3): squares cut along the shorter diagonal, the two halves of one after each other."""
    lengths = [np.linalg.norm(points[squares[:, i]] - points[squares[:, i + 2]], axis=1) for i in (0, 1)]
    turned = np.where((lengths[0] <= lengths[1])[:, None], squares, np.roll(squares, -1, axis=1))
    return turned[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)

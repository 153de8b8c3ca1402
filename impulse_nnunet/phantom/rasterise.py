"""Trees on an image's grid: capsules, and centre lines one voxel wide where a capsule is thinner than a voxel."""

from __future__ import annotations

import math

import numba
import numpy as np

from impulse_nnunet.phantom.compiled import compiled, parallel
from impulse_nnunet.phantom.grids import Grid
from impulse_nnunet.phantom.tree import Tree

CODES_PER_MM = 20.0  # distances are kept as int8: +- 6.35 mm in steps of 0.05 mm
OUTSIDE = -128
SLABS = 16


def capsules(tree: Tree, grid: Grid) -> np.ndarray:
    """Both ends, in voxels, and radii, in mm, of each piece: (n, 8) = start, radius, end, radius; thin ones first."""
    ends = np.flatnonzero(tree.parents >= 0)
    ends = ends[np.argsort(tree.radii_mm[ends], kind="stable")]
    before = tree.parents[ends]
    first, spacing = np.asarray(grid.first_mm), np.asarray(grid.spacing_mm)
    out = np.empty((len(ends), 8))
    out[:, :3] = (tree.points_mm[before] - first) / spacing
    out[:, 4:7] = (tree.points_mm[ends] - first) / spacing
    out[:, 7] = tree.radii_mm[ends]
    out[:, 3] = np.minimum(tree.radii_mm[before], 1.25 * tree.radii_mm[ends])  # a branch does not start as a cone
    return out


def labels_of_capsules(tree: Tree) -> np.ndarray:
    """The number of each capsule's node, in the order of :func:`capsules`."""
    ends = np.flatnonzero(tree.parents >= 0)
    return ends[np.argsort(tree.radii_mm[ends], kind="stable")]


def paint_distance(pieces: np.ndarray, grid: Grid, margin_mm: float) -> np.ndarray:
    """Signed distance to the surface of the capsules, positive inside.

    Args:
        pieces: Pieces of :func:`capsules`.
        grid: Grid of the result.
        margin_mm: How far outside distances are wanted.

    Returns:
        (d, h, w) int8, twentieths of a millimetre; -128 where it is farther.
    """
    out = np.full(grid.size, OUTSIDE, np.int8)
    nothing = np.zeros((1, 1, 1), np.uint8)
    numbers = np.zeros(len(pieces), np.uint8)
    _paint(out, nothing, pieces, numbers, np.array(grid.spacing_mm), margin_mm, False)
    return out


def paint_labels(pieces: np.ndarray, numbers: np.ndarray, grid: Grid) -> np.ndarray:
    """Label the voxels of a tree; where pieces meet, the one in which the voxel lies deepest.

    Args:
        pieces: Pieces of :func:`capsules`.
        numbers: (n,) uint8 label of each piece, not 0.
        grid: Grid of the result.

    Returns:
        (d, h, w) uint8, 0 outside the tree.
    """
    distance = np.full(grid.size, OUTSIDE, np.int8)
    out = np.zeros(grid.size, np.uint8)
    _paint(distance, out, pieces, numbers, np.array(grid.spacing_mm), 0.0, True)
    return out


@parallel
def _paint(
    distance: np.ndarray,
    labels: np.ndarray,
    pieces: np.ndarray,
    numbers: np.ndarray,
    spacing: np.ndarray,
    margin: float,
    with_labels: bool,
) -> None:
    depth = distance.shape[0]
    for slab in numba.prange(SLABS):
        low, high = slab * depth // SLABS, (slab + 1) * depth // SLABS
        for n in range(pieces.shape[0]):
            piece = pieces[n]
            reach = (max(piece[3], piece[7]) + margin) / spacing[0] + 1.0
            if max(piece[0], piece[4]) + reach < low or min(piece[0], piece[4]) - reach > high:
                continue
            _paint_piece(distance, labels, piece, numbers[n], spacing, margin, low, high, with_labels)
            if with_labels:
                _paint_line(distance, labels, piece, numbers[n], spacing, low, high)


@compiled
def _paint_piece(
    distance: np.ndarray,
    labels: np.ndarray,
    piece: np.ndarray,
    number: int,
    spacing: np.ndarray,
    margin: float,
    low: int,
    high: int,
    with_labels: bool,
) -> None:
    reach = max(piece[3], piece[7]) + margin
    first, last = np.empty(3, np.int64), np.empty(3, np.int64)
    for a in range(3):
        first[a] = max(0, math.ceil(min(piece[a], piece[4 + a]) - reach / spacing[a]))
        last[a] = min(distance.shape[a] - 1, math.floor(max(piece[a], piece[4 + a]) + reach / spacing[a]))
    bz, by, bx = (
        (piece[4] - piece[0]) * spacing[0],
        (piece[5] - piece[1]) * spacing[1],
        (piece[6] - piece[2]) * spacing[2],
    )
    square = max(1e-9, bz * bz + by * by + bx * bx)
    for k in range(max(low, first[0]), min(high, last[0] + 1)):
        az = (k - piece[0]) * spacing[0]
        for j in range(first[1], last[1] + 1):
            ay = (j - piece[1]) * spacing[1]
            for i in range(first[2], last[2] + 1):
                ax = (i - piece[2]) * spacing[2]
                t = min(1.0, max(0.0, (az * bz + ay * by + ax * bx) / square))
                gap = math.sqrt((az - t * bz) ** 2 + (ay - t * by) ** 2 + (ax - t * bx) ** 2)
                inside = piece[3] + t * (piece[7] - piece[3]) - gap
                if inside < -margin:
                    continue
                code = np.int8(min(127.0, max(-127.0, math.floor(inside * CODES_PER_MM))))
                if code > distance[k, j, i]:
                    distance[k, j, i] = code
                    if with_labels:
                        labels[k, j, i] = number


@compiled
def _paint_line(
    distance: np.ndarray, labels: np.ndarray, piece: np.ndarray, number: int, spacing: np.ndarray, low: int, high: int
) -> None:
    way = max(abs(piece[4] - piece[0]), abs(piece[5] - piece[1]), abs(piece[6] - piece[2]))
    steps = max(1, math.ceil(2.0 * way))
    for n in range(steps + 1):
        t = n / steps
        k = math.floor(piece[0] + t * (piece[4] - piece[0]) + 0.5)
        j = math.floor(piece[1] + t * (piece[5] - piece[1]) + 0.5)
        i = math.floor(piece[2] + t * (piece[6] - piece[2]) + 0.5)
        if low <= k < high and 0 <= j < labels.shape[1] and 0 <= i < labels.shape[2] and labels[k, j, i] == 0:
            labels[k, j, i] = number
            distance[k, j, i] = max(distance[k, j, i], np.int8(0))

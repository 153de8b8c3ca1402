"""Surfaces of labels, with shared borders: where two labels touch, both surfaces have the same points and triangles.

They are surface nets (Gibson 1998, "Constrained elastic surface nets"): a point at each corner of a voxel where labels
meet, a square at each side between two labels. Without smoothing the surface is the voxels' border, and its volume
theirs. Smoothing moves the points of all labels at once (Taubin 1995, "A signal processing approach to fair surface
design", which does not shrink), none further than it is told, so that neighbours go on touching.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse

from impulse_nnunet.errors import InputError
from impulse_nnunet.geometry.boxes import bounding_box
from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.io.label_maps import count_values
from impulse_nnunet.outputs.manifold import separated

STEPS = 30  # pairs of smoothing steps
SHRINK, GROW = 0.6, -0.61  # Taubin's lambda and mu: pass-band frequency 1/0.6 - 1/0.61 = 0.027


@dataclass(frozen=True)
class Surface:
    """The closed surface of a label; seen from outside, the corners of a triangle run counter-clockwise.

    Args:
        label: The label.
        points: (n, 3) float64 world positions (x, y, z) in LPS, mm.
        triangles: (m, 3) int64 indices of points.
    """

    label: int
    points: np.ndarray
    triangles: np.ndarray

    @property
    def volume_mm3(self) -> float:
        """Enclosed volume, by the divergence theorem."""
        first, second, third = self._corners()
        return float(np.einsum("ij,ij->", first, np.cross(second, third))) / 6

    @property
    def area_mm2(self) -> float:
        """Sum of the triangles' areas."""
        first, second, third = self._corners()
        return float(np.linalg.norm(np.cross(second - first, third - first), axis=1).sum()) / 2

    def _corners(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Three corners (m, 3) of the triangles, about the points' centre, where rounding is smallest."""
        points = self.points - self.points.mean(axis=0)
        first, second, third = points[self.triangles.T]
        return first, second, third


def default_smooth_mm(spacing_mm: Sequence[float] | np.ndarray) -> float:
    """Half the diagonal of a voxel: how far a voxel's corner lies at most from a plane that parts voxels' centres."""
    return float(np.linalg.norm(spacing_mm)) / 2


def label_surfaces(
    labels: np.ndarray, grid: FileGrid, *, wanted: Iterable[int] | None = None, smooth_mm: float = 0.0
) -> dict[int, Surface]:
    """Surfaces of labels.

    Args:
        labels: (d, h, w) unsigned integers, 0 is background.
        grid: Their place in the world.
        wanted: Labels to make surfaces of; None makes all. Those without voxels are left out. The others' surfaces do
            not depend on this choice.
        smooth_mm: Smooth, and move no point further than this; 0 keeps the voxels' border.

    Returns:
        Label -> surface, ascending.

    Raises:
        InputError: A negative ``smooth_mm``.
    """
    if not (np.isfinite(smooth_mm) and smooth_mm >= 0):
        raise InputError("`smooth_mm`", f"{smooth_mm}", "a distance in mm, 0 or more", "correct it")
    present = np.flatnonzero(count_values(labels))
    present = present[present > 0]
    chosen = present if wanted is None else np.intersect1d(present, list(wanted))
    if not len(chosen):
        return {}
    used = present if smooth_mm else chosen
    codes, first = _codes(labels, used)
    net = _surface_net(codes)
    points = net.corners * grid.spacing_mm
    if smooth_mm:
        points = _smoothed(points, net.squares, smooth_mm)
    triangles = _triangles(points, net.squares)
    points = (points + grid.spacing_mm * first[::-1]) @ grid.direction.T + grid.origin
    mirrored = np.linalg.det(grid.direction) < 0
    surfaces = {}
    for label in chosen.tolist():
        source, own = _part_of(int(np.searchsorted(used, label)) + 1, net, triangles)
        surfaces[label] = Surface(label, points[source], own[:, ::-1] if mirrored else own)
    return surfaces


@dataclass(frozen=True)
class _Net:
    """The border of codes.

    Args:
        corners: (n, 3) float64 (x, y, z), in voxels from the first one's centre.
        squares: (m, 4) corners, counter-clockwise seen from the second code.
        sides: (m, 2) codes on both sides.
    """

    corners: np.ndarray
    squares: np.ndarray
    sides: np.ndarray


def _codes(labels: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labels' numbers in ``used``, from 1 on, in their bounding box with a border of 0, and its first index."""
    table = np.zeros(int(max(labels.max(), used.max())) + 1, np.uint8 if len(used) < 256 else np.uint16)
    table[used] = np.arange(1, len(used) + 1)
    faces = bounding_box(table.astype(bool)[labels])
    lower, upper = faces if faces is not None else (np.zeros(3, int), np.zeros(3, int))
    box = tuple(slice(start, stop) for start, stop in zip(lower, upper, strict=True))
    return np.pad(table[labels[box]], 1), np.asarray(lower) - 1


def _surface_net(codes: np.ndarray) -> _Net:
    """The sides of voxels where codes (d, h, w) differ; they have a border of 0."""
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
    return _Net(places, corners.reshape(-1, 4), np.concatenate(sides))


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


def _part_of(code: int, net: _Net, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A code's part of a net: the corner that each of its points is, and its triangles."""
    inner, outer = (np.repeat(net.sides[:, side] == code, 2) for side in (0, 1))
    own = np.concatenate([triangles[inner], triangles[outer][:, ::-1]])
    used, own = np.unique(own, return_inverse=True)
    source, own = separated(net.corners[used], own.reshape(-1, 3))
    return used[source], own

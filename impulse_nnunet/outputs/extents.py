"""Areas and extents of labels, and of groups of labels, from one net."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.outputs.net import label_net


@dataclass(frozen=True)
class Extents:
    """Areas of the borders between labels, and boxes that hold labels.

    Args:
        areas_mm2: (k, k) area of the border between two labels, by their places in ``labels``; symmetric.
        labels: 0, then the labels, ascending.
        boxes_mm: Label -> (2, 3) smallest and largest x, y and z of its voxels' corners in the world, mm.
    """

    areas_mm2: np.ndarray
    labels: tuple[int, ...]
    boxes_mm: dict[int, np.ndarray]

    def area_mm2(self, group: Collection[int]) -> float:
        """Area of the surface of several labels together: their borders with all others."""
        inside = np.isin(self.labels, list(group))
        return float(self.areas_mm2[inside][:, ~inside].sum())

    def extent_mm(self, group: Collection[int]) -> tuple[float, float, float]:
        """Length along x, y and z of the world of several labels together."""
        boxes = np.array([self.boxes_mm[label] for label in group])
        x, y, z = (boxes[:, 1].max(axis=0) - boxes[:, 0].min(axis=0)).tolist()
        return x, y, z


def extents_of(labels: np.ndarray, grid: FileGrid, used: Collection[int], smooth_mm: float) -> Extents:
    """Measure labels.

    Args:
        labels: (d, h, w) unsigned integers.
        grid: Their place in the world.
        used: Labels with voxels.
        smooth_mm: Of the borders; see :func:`~impulse_nnunet.outputs.surfaces.label_surfaces`.
    """
    known = np.array(sorted(used))
    net = label_net(labels, grid, known, smooth_mm)
    first, second, third = (net.points[net.triangles[:, corner]] for corner in range(3))
    areas = np.linalg.norm(np.cross(second - first, third - first), axis=1) / 2
    every = np.concatenate([[0], known])
    pairs = np.searchsorted(every, net.sides)
    size = len(every)
    flat = np.bincount(pairs[:, 0] * size + pairs[:, 1], weights=areas[::2] + areas[1::2], minlength=size * size)
    table = flat.reshape(size, size)
    boxes = {}
    for label in known.tolist():
        inner, outer = net.of(label)
        own = net.places[net.triangles[np.repeat(inner | outer, 2)].reshape(-1)]
        boxes[label] = np.stack([own.min(axis=0), own.max(axis=0)])
    return Extents(table + table.T, tuple(every.tolist()), boxes)

"""Surfaces of labels, with shared borders: where two labels touch, both surfaces have the same points and triangles.

Without smoothing a surface is the border of its voxels, and its volume theirs; smoothing moves points that neighbours
share, so that they go on touching.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.io.label_maps import count_values
from impulse_nnunet.outputs.manifold import separated
from impulse_nnunet.outputs.net import Net, label_net


@dataclass(frozen=True)
class LabelSurface:
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
) -> dict[int, LabelSurface]:
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
    net = label_net(labels, grid, present if smooth_mm else chosen, smooth_mm)
    mirrored = np.linalg.det(grid.direction) < 0
    return {label: _part_of(label, net, mirrored) for label in chosen.tolist()}


def _part_of(label: int, net: Net, mirrored: bool) -> LabelSurface:
    """A label's part of a net; ``mirrored``: corners, in voxels, see the triangles from the other side."""
    inner, outer = (np.repeat(sides, 2) for sides in net.of(label))
    own = np.concatenate([net.triangles[inner], net.triangles[outer][:, ::-1]])
    is_used = np.zeros(len(net.corners), bool)
    is_used[own] = True
    used = np.flatnonzero(is_used)
    number = np.empty(len(net.corners), np.int64)
    number[used] = np.arange(len(used))
    own = number[own]
    source, own = separated(net.corners[used], own[:, ::-1] if mirrored else own)
    points = net.points[used[source]].mean(axis=1)
    return LabelSurface(label, points, own[:, ::-1] if mirrored else own)

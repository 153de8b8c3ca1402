"""Surfaces for a page: few triangles, and neighbours that go on touching.

Points of all segments that lie in one cell of a grid become one point, their mean (Rossignac and Borrel 1993,
"Multi-resolution 3D approximations for rendering complex scenes"), the same for each segment that has them: shared
borders stay shared. Trees and lesions share no border and have branches thinner than a cell; they lose triangles by
quadric error (Garland and Heckbert 1997; VTK), which keeps thin branches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.outputs.surfaces import LabelSurface, default_smooth_mm, label_surfaces

SEGMENT_TRIANGLES = 300_000  # of all segments together
TREE_TRIANGLES = 100_000  # of each tree or lesion
TREE_SMOOTH = 0.5  # of the smallest voxel edge: the furthest that a point moves, so that thin branches stay
WIDER = 1.12  # step from one cell size to the next
FINEST_CELL = 1.0  # of the smallest voxel edge


def segment_meshes(
    labels: np.ndarray, grid: FileGrid, wanted: Iterable[int], budget: int = SEGMENT_TRIANGLES
) -> dict[int, LabelSurface]:
    """Surfaces of labels with shared borders, of about ``budget`` triangles together."""
    surfaces = label_surfaces(labels, grid, wanted=wanted, smooth_mm=default_smooth_mm(grid.spacing_mm))
    return joined_in_cells(surfaces, float(grid.spacing_mm.min()), budget)


def mask_mesh(mask: np.ndarray, grid: FileGrid, budget: int = TREE_TRIANGLES) -> LabelSurface | None:
    """The surface of a mask with at most ``budget`` triangles; None if it is empty."""
    surfaces = label_surfaces(mask.view(np.uint8), grid, smooth_mm=TREE_SMOOTH * float(grid.spacing_mm.min()))
    return fewer_triangles(surfaces[1], budget) if surfaces else None


def joined_in_cells(surfaces: Mapping[int, LabelSurface], finest_mm: float, budget: int) -> dict[int, LabelSurface]:
    """Join the points of each cell of a grid; the smallest cells that leave at most ``budget`` triangles."""
    number = sum(len(surface.triangles) for surface in surfaces.values())
    if number <= budget:
        return dict(surfaces)
    cell_mm = finest_mm * FINEST_CELL * max(1.0, 0.9 * (number / budget) ** 0.5)
    while True:
        joined = _joined(surfaces, cell_mm)
        if sum(len(surface.triangles) for surface in joined.values()) <= budget:
            return joined
        cell_mm *= WIDER


def fewer_triangles(surface: LabelSurface, budget: int) -> LabelSurface:
    """A surface with at most about ``budget`` triangles, by quadric error."""
    import pyvista as pv

    if len(surface.triangles) <= budget:
        return surface
    mesh = pv.PolyData.from_regular_faces(surface.points, surface.triangles)
    reduced = mesh.decimate(1 - budget / len(surface.triangles), volume_preservation=True)
    points, triangles = np.asarray(reduced.points, np.float64), np.asarray(reduced.regular_faces)
    used, triangles = np.unique(triangles, return_inverse=True)
    return LabelSurface(surface.label, points[used], triangles.reshape(-1, 3))


def _joined(surfaces: Mapping[int, LabelSurface], cell_mm: float) -> dict[int, LabelSurface]:
    points = np.concatenate([surface.points for surface in surfaces.values()])
    cells = np.floor((points - points.min(axis=0)) / cell_mm).astype(np.int64)
    size = cells.max(axis=0) + 1
    # by cell in raster order, so that neighbours in the list are neighbours in space
    _, cell, count = np.unique(
        (cells[:, 2] * size[1] + cells[:, 1]) * size[0] + cells[:, 0], return_inverse=True, return_counts=True
    )
    means = np.stack([np.bincount(cell, points[:, axis]) for axis in range(3)], axis=1) / count[:, None]
    joined, start = {}, 0
    for label, surface in surfaces.items():
        of_cell = cell[start : start + len(surface.points)][surface.triangles]
        start += len(surface.points)
        kept = _without_folds(of_cell)
        if len(kept):
            used, own = np.unique(kept, return_inverse=True)
            joined[label] = LabelSurface(label, means[used], own.reshape(-1, 3))
    return joined


def _without_folds(triangles: np.ndarray) -> np.ndarray:
    """Triangles with three corners, without pairs that face each other, in the order of their first corner."""
    first, second, third = triangles.T
    whole = triangles[(first != second) & (second != third) & (third != first)]
    turned = np.take_along_axis(whole, (whole.argmin(axis=1)[:, None] + np.arange(3)) % 3, axis=1)
    ordered = np.sort(turned, axis=1)
    sense = np.where(turned[:, 1] < turned[:, 2], 1, -1)
    number = int(triangles.max()) + 1
    key = (ordered[:, 0] * number + ordered[:, 1]) * number + ordered[:, 2]
    _, place, group = np.unique(key, return_index=True, return_inverse=True)
    total = np.bincount(group, sense)
    kept = turned[place]
    backwards = (total > 0) != (sense[place] > 0)
    kept[backwards] = kept[backwards][:, [0, 2, 1]]
    kept = kept[total != 0]
    return kept[np.lexsort((kept[:, 1], kept[:, 0]))]

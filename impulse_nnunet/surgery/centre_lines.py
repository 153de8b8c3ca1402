"""Centre lines of a tubular mask: cheapest ways through its middle, from the thickest place to every tip.

After M. Sato et al., TEASAR (2000): ways that keep to the middle lead from each farthest voxel back to the root, and
each way covers what lies around it, so that small bumps of the wall make no branch. Lengths and distances are in mm of
the world, so the grid's orientation and spacing matter only as far as the voxels themselves do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import KDTree

from impulse_nnunet.geometry.world import positions_mm
from impulse_nnunet.surgery.faces import box_of, wall_of

COVER_RADII, COVER_DIAGONALS = 1.5, 1.0  # what a way covers: so many distances to the wall, and voxel diagonals more
STEP_RADII = 0.3  # covering balls are no closer
HALF_OF_NEIGHBOURS = tuple(
    (a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1) if (a, b, c) > (0, 0, 0)
)


@dataclass(frozen=True, kw_only=True)
class Ways:
    """Centre lines as a forest of voxels.

    Args:
        points_mm: (n, 3) LPS.
        parents: (n,) number of the next voxel towards the root of its piece, -1 there.
        wall_mm: (n,) distance to the nearest wall face.
        piece: (n,) number of the connected piece of the mask.
        sizes: (piece,) voxels of each piece.
    """

    points_mm: np.ndarray
    parents: np.ndarray
    wall_mm: np.ndarray
    piece: np.ndarray
    sizes: np.ndarray


def find_ways(mask: np.ndarray, to_world: np.ndarray) -> Ways:
    """Centre lines of a mask.

    Args:
        mask: (d, h, w), anything but 0 is inside; at least one voxel.
        to_world: 4 x 4, (d, h, w) indices to LPS.
    """
    box = box_of(mask)
    inside = np.pad(mask[box] > 0, 1)
    voxels = np.argwhere(inside)
    points = positions_mm(voxels + [part.start - 1 for part in box], to_world)
    wall = KDTree(wall_of(mask, to_world)).query(points)[0]
    graph = _steps(inside, voxels, wall, to_world)
    number, piece = connected_components(graph, directed=False)
    roots = _thickest(wall, piece, number)
    cost, before, _ = dijkstra(graph, directed=False, indices=roots, min_only=True, return_predecessors=True)
    before = np.where(before < 0, -1, before).astype(np.int64)
    lengths = _lengths(points, before)
    diagonal = float(np.linalg.norm(np.linalg.norm(to_world[:3, :3], axis=0)))
    chosen = _cover(points, before, lengths, COVER_RADII * wall + COVER_DIAGONALS * diagonal, STEP_RADII * wall)
    del cost
    renumber = np.full(len(points), -1, np.int64)
    renumber[chosen] = np.arange(len(chosen))
    parents = np.where(before[chosen] >= 0, renumber[before[chosen]], -1)
    return Ways(
        points_mm=points[chosen],
        parents=parents,
        wall_mm=wall[chosen],
        piece=piece[chosen].astype(np.int64),
        sizes=np.bincount(piece),
    )


def _steps(inside: np.ndarray, voxels: np.ndarray, wall: np.ndarray, to_world: np.ndarray) -> coo_matrix:
    """Graph of the 26-neighbours; a step costs its length over the square of the distance to the wall."""
    number = np.full(inside.shape, -1, np.int32)
    number[tuple(voxels.T)] = np.arange(len(voxels))
    rows, columns, costs = [], [], []
    price = 1.0 / wall**2
    for offset in HALF_OF_NEIGHBOURS:
        there = number[tuple((voxels + offset).T)]
        chosen = np.flatnonzero(there >= 0)
        length = float(np.linalg.norm(to_world[:3, :3] @ offset))
        rows.append(chosen)
        columns.append(there[chosen])
        costs.append(length * 0.5 * (price[chosen] + price[there[chosen]]))
    shape = (len(voxels), len(voxels))
    return coo_matrix((np.concatenate(costs), (np.concatenate(rows), np.concatenate(columns))), shape).tocsr()


def _thickest(wall: np.ndarray, piece: np.ndarray, number: int) -> np.ndarray:
    """The voxel farthest from the wall of each piece."""
    order = np.lexsort((-wall, piece))
    return order[np.searchsorted(piece[order], np.arange(number))]


def _lengths(points: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Length of the way from each voxel to its root, by doubling the steps that are summed."""
    ahead = np.where(before >= 0, before, np.arange(len(before)))
    lengths = np.linalg.norm(points - points[ahead], axis=1)
    while True:
        further = ahead[ahead]
        lengths = lengths + lengths[ahead]
        if np.array_equal(further, ahead):
            return np.asarray(lengths)
        ahead = further


def _cover(
    points: np.ndarray, before: np.ndarray, lengths: np.ndarray, reach: np.ndarray, step: np.ndarray
) -> np.ndarray:
    """Voxels of the ways that are kept, each behind its parent: always from the farthest that none covers."""
    tree = KDTree(points)
    covered, used = np.zeros(len(points), bool), np.zeros(len(points), bool)
    kept: list[int] = []
    for tip in np.argsort(-lengths, kind="stable"):
        if covered[tip]:
            continue
        way, place = [], int(tip)
        while place >= 0 and not used[place]:
            used[place] = True
            way.append(place)
            place = int(before[place])
        kept += way[::-1]
        balls = _spread(way, lengths, step)
        for found in tree.query_ball_point(points[balls], reach[balls]):
            covered[found] = True
    return np.array(kept, np.int64)


def _spread(way: list[int], lengths: np.ndarray, step: np.ndarray) -> list[int]:
    """Some of a way's voxels, no closer than their steps, with both ends."""
    chosen = [way[0]]
    for place in way[1:]:
        if lengths[chosen[-1]] - lengths[place] >= step[place]:
            chosen.append(place)
    return chosen if chosen[-1] == way[-1] else [*chosen, way[-1]]

"""A tree of bronchi or vessels, and how it fills a territory."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from impulse_nnunet.phantom.compiled import compiled

LENGTH_SHARE = 0.42  # of the way to the centre of the points that a branch serves (Tawhai et al. 2000: 0.4)
SHORTEST_MM = 2.5
FEWEST_POINTS = 2
LARGEST_TURN = math.radians(62.0)
MURRAY = 2.9  # exponent of radii at a fork: the sum of r ** MURRAY is the same before and behind it


class Tree(NamedTuple):
    """Nodes in an order in which parents come first; each node but a root ends a straight piece from its parent.

    Args:
        points_mm: (n, 3).
        parents: (n,) int64, -1 for a root.
        radii_mm: (n,) of the piece that ends here.
        labels: (n,) uint8 segment that the piece serves, 0 for central ones.
    """

    points_mm: np.ndarray
    parents: np.ndarray
    radii_mm: np.ndarray
    labels: np.ndarray

    def thicker_than(self, radius_mm: float) -> Tree:
        """Without the pieces that are thinner; radii must not grow from parent to child."""
        keep = self.radii_mm >= radius_mm
        return self.keeping(keep)

    def keeping(self, keep: np.ndarray) -> Tree:
        """The nodes of a mask; a node whose parent is left out goes with it."""
        keep = keep.copy()
        for node in np.flatnonzero(self.parents >= 0):
            keep[node] &= keep[self.parents[node]]
        return self.pieces(keep)

    def pieces(self, keep: np.ndarray) -> Tree:
        """The nodes of a mask; a node whose parent is left out becomes a root."""
        number = np.cumsum(keep) - 1
        parents = self.parents[keep]
        inner = parents >= 0
        kept_parent = np.zeros(len(parents), bool)
        kept_parent[inner] = keep[parents[inner]]
        parents = np.where(kept_parent, number[parents], -1)
        return Tree(self.points_mm[keep], parents, self.radii_mm[keep], self.labels[keep])


def along_branches(tree: Tree, step_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Points along all pieces, no farther apart than a step, and the label of each."""
    ends = np.flatnonzero(tree.parents >= 0)
    start, stop = tree.points_mm[tree.parents[ends]], tree.points_mm[ends]
    number = np.maximum(1, np.ceil(np.sqrt(((stop - start) ** 2).sum(1)) / step_mm)).astype(np.int64)
    which = np.repeat(np.arange(len(ends)), number)
    part = (np.arange(len(which)) - np.repeat(np.cumsum(number) - number, number) + 1) / number[which]
    return start[which] + (stop - start)[which] * part[:, None], tree.labels[ends][which]


@compiled
def fill_territory(
    points: np.ndarray,
    start: np.ndarray,
    direction: np.ndarray,
    allowed: np.ndarray,
    first_mm: np.ndarray,
    edge_mm: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grow a tree that serves all points of a territory: halve them again and again (after Tawhai et al. 2000).

    Args:
        points: (n, 3) mm, all over the territory; their order is changed.
        start: (3,) where the first two branches begin.
        direction: (3,) of the branch that ends there, of length 1.
        allowed: (d, h, w) where branches may run.
        first_mm: (3,) position of its first voxel.
        edge_mm: Edge length of its voxels.

    Returns:
        Ends of the branches (m, 3), number of the parent branch (m,) or -1 for ``start``, points served (m,).
    """
    n = points.shape[0]
    ends = np.empty((2 * n + 2, 3))
    parents = np.empty(2 * n + 2, np.int64)
    served = np.empty(2 * n + 2, np.int64)
    stack = np.empty((2 * n + 2, 3), np.int64)  # parent branch, first point, one past the last
    directions = np.empty((2 * n + 2, 3))
    stack[0, 0], stack[0, 1], stack[0, 2] = -1, 0, n
    height, count = 1, 0
    while height > 0:
        height -= 1
        parent, first, last = stack[height, 0], stack[height, 1], stack[height, 2]
        origin = start if parent < 0 else ends[parent]
        heading = direction if parent < 0 else directions[parent]
        if last - first < FEWEST_POINTS:
            continue
        middle = split_points(points, first, last, heading)
        for low, high in ((first, middle), (middle, last)):
            if high <= low:
                continue
            if not branch_towards(points, low, high, origin, heading, ends[count], directions[count]):
                continue
            if not shorten(origin, ends[count], allowed, first_mm, edge_mm):
                continue
            parents[count], served[count] = parent, high - low
            stack[height, 0], stack[height, 1], stack[height, 2] = count, low, high
            height += 1
            count += 1
    return ends[:count].copy(), parents[:count].copy(), served[:count].copy()


@compiled
def split_points(points: np.ndarray, first: int, last: int, heading: np.ndarray) -> int:
    """Order points so that those on one side of a plane come first; returns where the other side begins.

    The plane holds the heading and the centre, and cuts across the largest spread of the points around the heading.
    """
    n = last - first
    centre = np.zeros(3)
    for i in range(first, last):
        for a in range(3):
            centre[a] += points[i, a] / n
    u, v = perpendiculars(heading)
    uu, uv, vv = 0.0, 0.0, 0.0
    for i in range(first, last):
        pu, pv = 0.0, 0.0
        for a in range(3):
            pu += (points[i, a] - centre[a]) * u[a]
            pv += (points[i, a] - centre[a]) * v[a]
        uu += pu * pu
        uv += pu * pv
        vv += pv * pv
    angle = 0.5 * math.atan2(2.0 * uv, uu - vv)
    normal = u * math.cos(angle) + v * math.sin(angle)
    low, high = first, last - 1
    while low <= high:
        side = 0.0
        for a in range(3):
            side += (points[low, a] - centre[a]) * normal[a]
        if side < 0.0:
            low += 1
        else:
            for a in range(3):
                points[low, a], points[high, a] = points[high, a], points[low, a]
            high -= 1
    return low


@compiled
def perpendiculars(heading: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors at right angles to a unit vector and to each other."""
    other = np.zeros(3)
    other[np.argmin(np.abs(heading))] = 1.0
    u = np.cross(heading, other)
    u /= math.sqrt((u * u).sum())
    return u, np.cross(heading, u)


@compiled
def branch_towards(
    points: np.ndarray, first: int, last: int, origin: np.ndarray, heading: np.ndarray, end: np.ndarray, way: np.ndarray
) -> bool:
    """Lead a branch from ``origin`` towards its points; fills ``end`` and its direction; False if it is too short."""
    towards = np.zeros(3)
    for i in range(first, last):
        for a in range(3):
            towards[a] += (points[i, a] - origin[a]) / (last - first)
    distance = math.sqrt((towards * towards).sum())
    length = LENGTH_SHARE * distance if last - first > 1 else 0.8 * distance
    if length < SHORTEST_MM:
        return False
    towards /= distance
    along = (towards * heading).sum()
    if along < math.cos(LARGEST_TURN):
        side = towards - along * heading
        size = math.sqrt((side * side).sum())
        if size > 1e-9:
            towards = heading * math.cos(LARGEST_TURN) + side / size * math.sin(LARGEST_TURN)
    for a in range(3):
        end[a] = origin[a] + length * towards[a]
        way[a] = towards[a]
    return True


@compiled
def shorten(origin: np.ndarray, end: np.ndarray, allowed: np.ndarray, first_mm: np.ndarray, edge_mm: float) -> bool:
    """Pull the end of a branch back to where all of it may run, in place; False if nothing long enough is left."""
    way = end - origin
    length = math.sqrt((way * way).sum())
    free = 0
    steps = 8
    for n in range(1, steps + 1):
        place = (origin + way * (n / steps) - first_mm) / edge_mm
        k, j, i = int(place[0] + 0.5), int(place[1] + 0.5), int(place[2] + 0.5)
        inside = 0 <= k < allowed.shape[0] and 0 <= j < allowed.shape[1] and 0 <= i < allowed.shape[2]
        if not inside or not allowed[k, j, i]:
            break
        free = n
    if length * free / steps < SHORTEST_MM:
        return False
    for a in range(3):
        end[a] = origin[a] + way[a] * free / steps
    return True

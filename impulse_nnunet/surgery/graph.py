"""Branches of a tree: from centre lines of voxels to smooth lines with radii, generations and one root a piece."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import KDTree

from impulse_nnunet.surgery.centre_lines import Ways, find_ways
from impulse_nnunet.surgery.faces import wall_of

TRUNK_RADII = 2.0  # of the thickest place: over this length from a tip inwards the thickness there is taken
TRUNK_SHARE = 0.5  # of the thickest place: where all tips are thinner, the thickest place is the root
SMOOTHING_STEPS = 1.5  # standard deviation along the line, in its steps
RADIUS_STEPS = 2.0
FEWEST_PIECE_VOXELS = 4  # smaller pieces of a mask are specks


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A piece of a tree between two forks, or a fork and a tip.

    Args:
        id: Its number in the tree.
        parent: The number of the branch that it comes from, -1 for one at a root.
        generation: 0 for a branch at a root, else one more than its parent's.
        points_mm: (n, 3) LPS, from the fork to the next one, at least two points.
        radii_mm: (n,) mean distance to the wall around each point.
        piece: Number of the connected piece of the mask.
        joined_gap_mm: Length of the gaps of the mask that it bridges; 0 where the mask is whole.
    """

    id: int
    parent: int
    generation: int
    points_mm: np.ndarray
    radii_mm: np.ndarray
    piece: int
    joined_gap_mm: float = 0.0

    @property
    def length_mm(self) -> float:
        """Along the line."""
        return float(np.linalg.norm(np.diff(self.points_mm, axis=0), axis=1).sum())

    @property
    def mean_diameter_mm(self) -> float:
        """Twice the mean radius, without what lies inside the parent's tube where the branch is longer than that."""
        way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(self.points_mm, axis=0), axis=1))])
        outside = way >= min(float(self.radii_mm[0]), 0.5 * float(way[-1]))
        return 2 * float(self.radii_mm[outside].mean())


@dataclass(frozen=True, kw_only=True)
class BranchTree:
    """The branches of one mask, each behind its parent.

    Args:
        branches: ``branches[n].id`` is n.
        voxels: (piece,) of each connected piece.
    """

    branches: tuple[Branch, ...]
    voxels: tuple[int, ...] = ()

    def children(self) -> list[list[int]]:
        """Numbers of the branches that come from each branch."""
        found: list[list[int]] = [[] for _ in self.branches]
        for branch in self.branches:
            if branch.parent >= 0:
                found[branch.parent].append(branch.id)
        return found


def find_tree(mask: np.ndarray, to_world: np.ndarray) -> BranchTree:
    """The branches of a mask; a tree without branches where it holds nothing but specks.

    Args:
        mask: (d, h, w), anything but 0 is inside.
        to_world: 4 x 4, (d, h, w) indices to LPS.
    """
    if not mask.any():
        return BranchTree(branches=())
    ways = find_ways(mask, to_world)
    large = ways.sizes[ways.piece] >= FEWEST_PIECE_VOXELS
    parents = _rooted_at_trunks(ways)
    lines = [line for line in lines_of(parents) if large[line[-1]]]
    lines = _without_short(lines, ways)
    branches = number_lines(lines, ways.points_mm, ways.wall_mm, ways.piece, np.zeros(len(ways.piece)))
    branches = [replace(branch, points_mm=_smooth(branch.points_mm)) for branch in branches]
    return BranchTree(branches=tuple(_with_radii(branches, wall_of(mask, to_world))), voxels=tuple(ways.sizes.tolist()))


def generations(parents: list[int]) -> list[int]:
    """The generation of each branch from its parent, parents first."""
    found: list[int] = []
    for parent in parents:
        found.append(0 if parent < 0 else found[parent] + 1)
    return found


def lines_of(parents: np.ndarray) -> list[list[int]]:
    """Voxel numbers from fork to fork, the first of each being the fork that it comes from; parents first."""
    children: list[list[int]] = [[] for _ in parents]
    for place, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(place)
    lines = []
    todo = [[int(root), child] for root in np.flatnonzero(parents < 0) for child in children[root]]
    todo += [[int(root), int(root)] for root in np.flatnonzero(parents < 0) if not children[root]]
    while todo:
        line = todo.pop()
        while len(children[line[-1]]) == 1:
            line.append(children[line[-1]][0])
        lines.append(line)
        if line[-1] != line[0]:
            todo += [[line[-1], child] for child in children[line[-1]]]
    return lines


def _rooted_at_trunks(ways: Ways) -> np.ndarray:
    """Parents with each piece's root at the open end of its trunk, or at its thickest place where it has no trunk."""
    parents = ways.parents.copy()
    roots = {int(ways.piece[root]): int(root) for root in np.flatnonzero(parents < 0)}
    best: dict[int, tuple[float, int]] = {}
    for tip in np.flatnonzero(np.bincount(parents[parents >= 0], minlength=len(parents)) == 0).tolist():
        piece = int(ways.piece[tip])
        thick = _thickness(ways, tip, TRUNK_RADII * float(ways.wall_mm[roots[piece]]))
        best[piece] = max(best.get(piece, (0.0, -1)), (thick, tip))
    for piece, (thick, end) in best.items():
        if thick >= TRUNK_SHARE * ways.wall_mm[roots[piece]]:
            turn(parents, end)
    return parents


def _thickness(ways: Ways, tip: int, length_mm: float) -> float:
    """Mean distance to the wall over some length of the way from a tip inwards."""
    places, gone = [tip], 0.0
    while gone < length_mm and ways.parents[places[-1]] >= 0:
        following = int(ways.parents[places[-1]])
        gone += float(np.linalg.norm(ways.points_mm[following] - ways.points_mm[places[-1]]))
        places.append(following)
    return float(ways.wall_mm[places].mean())


def turn(parents: np.ndarray, root: int) -> None:
    """Make a voxel the root of its piece, in place."""
    place, before = root, -1
    while place >= 0:
        following = int(parents[place])
        parents[place] = before
        place, before = following, place


def _without_short(lines: list[list[int]], ways: Ways) -> list[list[int]]:
    """Take inner lines out that are shorter than the tube is wide: their forks are one."""
    behind: dict[int, int] = {}  # fork at a short line's end -> its number
    after: dict[int, int] = {}
    for line in lines:
        after[line[0]] = after.get(line[0], 0) + 1
    short = []
    for line in lines:
        length = np.linalg.norm(np.diff(ways.points_mm[line], axis=0), axis=1).sum()
        inner = after.get(line[-1], 0) > 1
        short.append(bool(inner and length < ways.wall_mm[line[0]] and after[line[0]] > 1))
        if short[-1]:
            behind[line[-1]] = len(short) - 1
    kept = []
    for line, leave_out in zip(lines, short, strict=True):
        if leave_out:
            continue
        while line[0] in behind:
            line = lines[behind[line[0]]][:-1] + line
        kept.append(line)
    return kept


def number_lines(
    lines: list[list[int]], points_mm: np.ndarray, radii_mm: np.ndarray, piece: np.ndarray, gap_mm: np.ndarray
) -> list[Branch]:
    """Branches of lines of numbers of points, parents first; ``gap_mm`` is that in front of each point."""
    ends = {line[-1]: number for number, line in enumerate(lines)}
    parents = [ends.get(line[0], -1) if line[0] != line[-1] else -1 for line in lines]
    depth = generations(parents)
    return [
        Branch(
            id=number,
            parent=parents[number],
            generation=depth[number],
            points_mm=points_mm[line],
            radii_mm=radii_mm[line],
            piece=int(piece[line[-1]]),
            joined_gap_mm=float(gap_mm[line[1:]].sum()),
        )
        for number, line in enumerate(lines)
    ]


def _smooth(points: np.ndarray) -> np.ndarray:
    """Take the steps of the voxels out of a line; its ends stay."""
    if len(points) < 4:
        return points
    ends = np.linspace(0, 1, len(points))[:, None]
    straight = points[0] + ends * (points[-1] - points[0])
    off = gaussian_filter1d(
        np.concatenate([-(points - straight)[::-1], (points - straight)[1:-1], -(points - straight)[::-1]]),
        SMOOTHING_STEPS,
        axis=0,
    )
    return np.asarray(straight + off[len(points) - 1 : 2 * len(points) - 1])


def _with_radii(branches: list[Branch], wall: np.ndarray) -> list[Branch]:
    """Radii from the wall's faces: each belongs to the nearest point of a line, at right angles to the line."""
    points = np.concatenate([branch.points_mm for branch in branches])
    tangents = np.concatenate([_tangents(branch.points_mm) for branch in branches])
    nearest = KDTree(points).query(wall)[1]
    away = wall - points[nearest]
    along = (away * tangents[nearest]).sum(1)
    aside = np.sqrt(np.maximum((away**2).sum(1) - along**2, 0.0))
    beside = np.abs(along) <= np.maximum(aside, 1e-6)  # caps of the tips are no sides
    number = np.bincount(nearest[beside], minlength=len(points)).astype(np.float64)
    total = np.bincount(nearest[beside], aside[beside], minlength=len(points))
    found, first = [], 0
    for branch in branches:
        part = slice(first, first + len(branch.points_mm))
        first = part.stop
        found.append(replace(branch, radii_mm=_running_mean(total[part], number[part], branch.radii_mm)))
    return found


def _tangents(points: np.ndarray) -> np.ndarray:
    if len(points) < 2:
        return np.zeros_like(points)
    along = np.gradient(points, axis=0)
    return np.asarray(along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9))


def _running_mean(total: np.ndarray, number: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Mean along a line with weights; what no wall face belongs to takes the distance to the nearest one."""
    weight = gaussian_filter1d(number, RADIUS_STEPS, mode="constant")
    mean = gaussian_filter1d(total, RADIUS_STEPS, mode="constant") / np.maximum(weight, 1e-9)
    return np.where(weight > 1e-3, mean, otherwise)

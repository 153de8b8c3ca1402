"""Pieces of a tree that gaps in its mask cut off, joined where gap, direction, diameter and segment make it plausible.

A join leads from an end or a fork of a piece to a tip, or to the side, of another. Its cost is a weighted sum of what
speaks against it. The weights make the right way likeliest (softmax of the negative costs over all ways of a piece)
 on phantom trees cut at random places, so the same softmax says how sure a join is: a piece is joined where the
best way leads with :data:`LEAST_TRUST`, else it is left apart. The thicker side of a join is the parent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import KDTree

from impulse_nnunet.surgery.faces import values_at
from impulse_nnunet.surgery.graph import Branch, BranchTree
from impulse_nnunet.surgery.nodes import Nodes

FARTHEST_MM = 14.0  # between points of centre lines, which may lie a radius inside the mask
LEAST_HEADING = 0.3  # of the sum of the unit vectors of lines that meet in a fork
DEAREST = 30.0  # costlier joins are none
LEAST_TRUST = 0.7
SAME_PLACE_MM = 4.0  # ways whose ends are no farther from each other are one
COSTS = {
    "mm between the walls": 0.85,
    "right angles between the end and the gap": 8.1,
    "the same, times the gap in cm": 0.0,
    "right angles between the other tip and the gap": 4.5,
    "the same, times the gap in cm of a tip": 2.1,
    "right angles to the other's side": 0.0,
    "logarithm of the ratio of the diameters": 7.2,
    "to the side of a branch": 5.6,
    "from a fork": 1.6,
    "logarithm of the piece's thickest over the diameter at the join": 6.8,
    "in two segments": 3.0,
    "seen from the parent's end": 3.2,
}
CORNER_RADII = 0.7
HEADING_MM = 6.0  # the length of a line over which its direction is taken


@dataclass(frozen=True, kw_only=True)
class Join:
    """A plausible join.

    Args:
        cost: What speaks against it, no unit.
        trust: How likely it is among all ways of the piece, 0 to 1.
        gap_mm: Between the two points.
        end: (branch, point) of the piece's end that is joined.
        to: (branch, point) of the other piece.
    """

    cost: float
    trust: float
    gap_mm: float
    end: tuple[int, int]
    to: tuple[int, int]


def join_pieces(tree: BranchTree, labels: np.ndarray, to_world: np.ndarray) -> tuple[BranchTree, tuple[Join, ...]]:
    """Join what belongs together.

    Args:
        tree: Whose pieces are rooted each by itself.
        labels: (d, h, w) segments, 0 elsewhere.
        to_world: 4 x 4, (d, h, w) indices to LPS.

    Returns:
        The tree with one root for each piece that is left apart, and the joins.
    """
    pieces = {branch.piece for branch in tree.branches}
    if len(pieces) < 2:
        return tree, ()
    groups = {piece: piece for piece in pieces}
    made, nodes, thick = [], Nodes.of(tree), _thickest(tree)
    for join in sorted(_likely(tree, labels, to_world), key=lambda join: join.cost):
        sides = [(tree.branches[place[0]].piece, place) for place in (join.end, join.to)]
        (child, child_place), (parent, parent_place) = sorted(sides, key=lambda side: (thick[side[0]], side))
        if _group(child, groups) == _group(parent, groups):
            continue
        groups[child] = parent
        nodes.hang(nodes.number[child_place], nodes.number[parent_place], join.gap_mm)
        made.append(join)
    nodes.piece = np.array([_group(int(piece), groups) for piece in nodes.piece])
    return nodes.tree(tree.voxels), tuple(made)


def _likely(tree: BranchTree, labels: np.ndarray, to_world: np.ndarray) -> list[Join]:
    """The best way of each piece to a thicker one, where it is likely enough."""
    ways, features = _candidates(tree, labels, to_world)
    costs = features @ np.array(list(COSTS.values()))
    thick = _thickest(tree)
    starts = np.array([tree.branches[way.end[0]].points_mm[way.end[1]] for way in ways]).reshape(-1, 3)
    ends = np.array([tree.branches[way.to[0]].points_mm[way.to[1]] for way in ways]).reshape(-1, 3)
    pieces = [(tree.branches[way.end[0]].piece, tree.branches[way.to[0]].piece) for way in ways]
    child = np.array([min(pair, key=lambda piece: (thick[piece], piece)) for pair in pieces])
    found = []
    for piece in np.unique(child):
        own = np.flatnonzero(child == piece)
        best = int(own[costs[own].argmin()])
        weight = np.exp(costs[best] - costs[own])
        there = _near(starts[own], starts[best]) & _near(ends[own], ends[best])
        there |= _near(starts[own], ends[best]) & _near(ends[own], starts[best])
        trust = float(weight[there].sum() / weight.sum())
        if trust >= LEAST_TRUST and costs[best] <= DEAREST:
            found.append(replace(ways[best], cost=float(costs[best]), trust=trust))
    return found


def _near(points: np.ndarray, point: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(points - point, axis=1) <= SAME_PLACE_MM)


def _thickest(tree: BranchTree) -> dict[int, float]:
    """The largest mean radius of the branches of each piece, mm."""
    found: dict[int, float] = {}
    for branch in tree.branches:
        found[branch.piece] = max(found.get(branch.piece, 0.0), branch.mean_diameter_mm / 2)
    return found


def _group(piece: int, groups: dict[int, int]) -> int:
    while groups[piece] != piece:
        piece = groups[piece]
    return piece


@dataclass(frozen=True, kw_only=True)
class _Points:
    """All points of a tree's lines."""

    at: np.ndarray  # (n, 3)
    branch: np.ndarray
    number: np.ndarray
    piece: np.ndarray
    radius: np.ndarray
    label: np.ndarray
    thickest: np.ndarray  # radius of the thickest branch of the piece


@dataclass(frozen=True, kw_only=True)
class _End:
    """Where a missing line may begin.

    Args:
        place: (branch, point).
        heading: Unit vector in which the line would leave.
        fork: Whether other lines meet there already.
    """

    place: tuple[int, int]
    heading: np.ndarray
    fork: bool


def _all_points(tree: BranchTree, labels: np.ndarray, to_world: np.ndarray) -> _Points:
    at = np.concatenate([branch.points_mm for branch in tree.branches])
    counts = [len(branch.points_mm) for branch in tree.branches]
    thick = _thickest(tree)
    return _Points(
        at=at,
        branch=np.repeat(np.arange(len(counts)), counts),
        number=np.concatenate([np.arange(count) for count in counts]),
        piece=np.repeat([branch.piece for branch in tree.branches], counts),
        radius=np.concatenate([branch.radii_mm for branch in tree.branches]),
        label=values_at(labels, at, to_world).astype(np.int64),
        thickest=np.repeat([thick[branch.piece] for branch in tree.branches], counts),
    )


def _candidates(tree: BranchTree, labels: np.ndarray, to_world: np.ndarray) -> tuple[list[Join], np.ndarray]:
    """Every way from an open end to a point of another piece, without cost, and what it is judged by (n, feature)."""
    points = _all_points(tree, labels, to_world)
    edge = float(np.cbrt(abs(np.linalg.det(to_world[:3, :3]))))
    places = {(int(b), int(n)): k for k, (b, n) in enumerate(zip(points.branch, points.number, strict=True))}
    search = KDTree(points.at)
    ends, tips = _ends(tree)
    found: list[Join] = []
    features = []
    for end in ends:
        here = places[end.place]
        near = np.array(search.query_ball_point(points.at[here], FARTHEST_MM))
        near = near[points.piece[near] != points.piece[here]]
        if not len(near):
            continue
        found += [
            Join(
                cost=np.inf,
                trust=0.0,
                gap_mm=float(np.linalg.norm(points.at[here] - points.at[there])),
                end=end.place,
                to=(int(points.branch[there]), int(points.number[there])),
            )
            for there in near
        ]
        features.append(_features(points, here, end, near, tips, tree, edge))
    return found, np.concatenate(features) if features else np.zeros((0, len(COSTS)))


def _features(
    points: _Points,
    here: int,
    end: _End,
    near: np.ndarray,
    tips: dict[tuple[int, int], np.ndarray],
    tree: BranchTree,
    edge: float,
) -> np.ndarray:
    """What ways from one end to some points are judged by, in the order of :data:`COSTS`."""
    way = points.at[near] - points.at[here]
    gaps = np.maximum(np.linalg.norm(way, axis=1), 1e-6)
    way = way / gaps[:, None]
    other, side = np.zeros(len(near)), np.zeros(len(near), bool)
    for k, there in enumerate(near):
        place = (int(points.branch[there]), int(points.number[there]))
        side[k] = place not in tips
        direction = tips[place] if not side[k] else -_direction(tree.branches[place[0]], place[1])
        other[k] = float(-way[k] @ direction)
    ratio = np.log(points.radius[here] / points.radius[near])
    child_here = points.thickest[here] < points.thickest[near]
    thin = np.log(points.thickest / points.radius)
    free = gaps - np.where(side, points.radius[near], 0.0) - (points.radius[here] if end.fork else 0.0)
    free = np.clip(free, edge, None)  # of the gap, between the walls
    far = free / 10
    bent, bent_there = _bend(way @ end.heading), _bend(other)
    both = (points.label[near] > 0) & (points.label[here] > 0) & (points.label[near] != points.label[here])
    columns = (
        free,
        bent,
        bent * far,
        bent_there * ~side,
        bent_there * far * ~side,
        bent_there * side,
        np.where(side, np.maximum(ratio, 0.0), np.abs(ratio)),
        side,
        np.full(len(near), end.fork),
        np.where(child_here, thin[here], thin[near]),
        both,
        ~child_here,
    )
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def _bend(cosine: np.ndarray) -> np.ndarray:
    """0 for straight on, 1 for a right angle, 2 for a turn back; steep from the first degree on."""
    return np.asarray(np.arccos(np.clip(cosine, -1, 1)) / (np.pi / 2))


def _ends(tree: BranchTree) -> tuple[list[_End], dict[tuple[int, int], np.ndarray]]:
    """All open ends and forks with the direction in which a missing line would leave them; the tips among them."""
    leaving: dict[tuple[int, bytes], list[tuple[tuple[int, int], np.ndarray]]] = {}
    for branch in tree.branches:
        last = len(branch.points_mm) - 1
        for number, line in ((0, branch.points_mm), (last, branch.points_mm[::-1])):
            key = (branch.piece, branch.points_mm[number].tobytes())
            leaving.setdefault(key, []).append(((branch.id, number), _heading(line, float(branch.radii_mm[number]))))
    ends, tips = [], {}
    for lines in leaving.values():
        total = np.sum([heading for _, heading in lines], axis=0)
        length = float(np.linalg.norm(total))
        if length > LEAST_HEADING:
            ends.append(_End(place=lines[0][0], heading=total / length, fork=len(lines) > 1))
        if len(lines) == 1:
            tips[lines[0][0]] = lines[0][1]
    return ends, tips


def _heading(points: np.ndarray, radius_mm: float) -> np.ndarray:
    """Unit vector from the inside of a line to its first point, near which the line may bend into a corner."""
    away = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    chosen = points[(away >= CORNER_RADII * radius_mm) & (away <= CORNER_RADII * radius_mm + HEADING_MM)]
    if len(chosen) < 3:
        chosen = points[: max(2, len(chosen) + 1)]
    middle = (np.arange(len(chosen)) - (len(chosen) - 1) / 2)[:, None]
    direction = -(middle * chosen).sum(0)
    return np.asarray(direction / max(1e-9, float(np.linalg.norm(direction))))


def _direction(branch: Branch, number: int) -> np.ndarray:
    """Unit vector along a line at one of its points, away from the root."""
    low, high = max(0, number - 2), min(len(branch.points_mm) - 1, number + 2)
    along = branch.points_mm[high] - branch.points_mm[low]
    return np.asarray(along / max(1e-9, float(np.linalg.norm(along))))

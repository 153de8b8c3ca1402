"""Which segment each branch serves: the labelling of the whole tree that costs least.

A branch in a segment costs what of its length lies elsewhere, a central one what of its length lies in any segment; a
branch that leaves its parent's segment costs as much as :data:`CROSSING_MM` of length. The cheapest labelling of a tree
is found exactly, from the tips to the root and back (Viterbi), so a branch's subtree counts as much as its own course.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from impulse_nnunet.surgery.faces import values_at
from impulse_nnunet.surgery.graph import Branch, BranchTree

CROSSING_MM = 15.0  # that a branch must lie in another segment before it counts as that one's
ENTERING_MM = 1.0  # the same for a branch that comes from a central one
UNLABELLED = 0.5  # share of the length outside all segments that counts against a segment
NAMED_MM, NAMED_SHARE = 3.0, 0.1  # of what lies elsewhere or is fed besides, before it is named


@dataclass(frozen=True, kw_only=True)
class Service:
    """What a branch serves.

    Args:
        label: Its segment; 0 for central branches, and outside all segments.
        confidence: Share of its own length and of all behind it that lies in that segment, of what lies in any; for a
            central branch the share that lies outside all.
        own_share: Share of its own length that lies in that segment (or outside all).
        lies_in: Other segments in which parts of it lie.
        feeds: Segments in which it and what is behind it end, more than one for a common trunk.
    """

    label: int
    confidence: float
    own_share: float
    lies_in: tuple[int, ...] = ()
    feeds: tuple[int, ...] = ()


def serve(tree: BranchTree, labels: np.ndarray, to_world: np.ndarray) -> tuple[Service, ...]:
    """What each branch of a tree serves.

    Args:
        tree: In LPS.
        labels: (d, h, w) segments, 0 elsewhere.
        to_world: 4 x 4, (d, h, w) indices to LPS.
    """
    if not tree.branches:
        return ()
    numbers, lengths = lengths_in(tree, labels, to_world)
    behind = behind_each(tree, lengths)
    chosen = _cheapest(tree, numbers, lengths)
    return tuple(_service(n, int(state), numbers, lengths, behind) for n, state in enumerate(chosen))


def point_lengths_mm(branch: Branch) -> np.ndarray:
    """How much of a branch's length belongs to each of its points."""
    steps = np.linalg.norm(np.diff(branch.points_mm, axis=0), axis=1)
    found = np.zeros(len(branch.points_mm))
    found[:-1] += steps / 2
    found[1:] += steps / 2
    return found


def lengths_in(tree: BranchTree, labels: np.ndarray, to_world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labels (n,) that the tree passes, 0 first, and the length of each branch in each of them (branch, n), mm."""
    points = np.concatenate([branch.points_mm for branch in tree.branches])
    weights = np.concatenate([np.maximum(point_lengths_mm(branch), 1e-6) for branch in tree.branches])
    which = np.repeat(np.arange(len(tree.branches)), [len(branch.points_mm) for branch in tree.branches])
    values = values_at(labels, points, to_world).astype(np.int64)
    numbers = np.union1d([0], values)
    lengths = np.zeros((len(tree.branches), len(numbers)))
    np.add.at(lengths, (which, np.searchsorted(numbers, values)), weights)
    return numbers, lengths


def behind_each(tree: BranchTree, lengths: np.ndarray) -> np.ndarray:
    """Sums over each branch and all that comes from it, (branch, n)."""
    total = lengths.copy()
    for branch in reversed(tree.branches):
        if branch.parent >= 0:
            total[branch.parent] += total[branch.id]
    return total


def _cheapest(tree: BranchTree, numbers: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The state (index of ``numbers``) of each branch."""
    inside = lengths[:, 1:].sum(1, keepdims=True)
    cost = inside - lengths + UNLABELLED * lengths[:, :1]
    cost[:, 0] = inside[:, 0]
    change = np.full((len(numbers), len(numbers)), CROSSING_MM)  # from the parent's state to the child's
    change[0] = ENTERING_MM
    np.fill_diagonal(change, 0.0)
    best = np.zeros((len(tree.branches), len(numbers)), np.int64)
    for branch in reversed(tree.branches):
        if branch.parent >= 0:
            ways = cost[branch.id] + change
            best[branch.id] = ways.argmin(1)
            cost[branch.parent] += ways.min(1)
    chosen = np.zeros(len(tree.branches), np.int64)
    for branch in tree.branches:
        chosen[branch.id] = best[branch.id][chosen[branch.parent]] if branch.parent >= 0 else cost[branch.id].argmin()
    return chosen


def _service(n: int, state: int, numbers: np.ndarray, lengths: np.ndarray, behind: np.ndarray) -> Service:
    own, all_behind = lengths[n], behind[n]
    of = all_behind[1:].sum() if state else all_behind.sum()
    others = [int(numbers[k]) for k in range(1, len(numbers)) if k != state and own[k] >= NAMED_MM]
    fed = np.flatnonzero(all_behind[1:] >= np.maximum(NAMED_MM, NAMED_SHARE * all_behind[1:].sum())) + 1
    return Service(
        label=int(numbers[state]),
        confidence=float(all_behind[state] / of) if of > 0 else 0.0,
        own_share=float(own[state] / own.sum()),
        lies_in=tuple(others),
        feeds=tuple(int(numbers[k]) for k in fed),
    )

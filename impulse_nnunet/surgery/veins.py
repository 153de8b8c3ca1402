"""Veins between segments: those that run along a border, cut apart where they leave it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import KDTree

from impulse_nnunet.surgery.graph import Branch, BranchTree
from impulse_nnunet.surgery.territory import point_lengths_mm

NEAR_MM = 2.0  # of the share of a vein's length that is told
ALONG_MM, ALONG_EDGES, FARTHEST_MM = 0.35, 0.9, 3.0  # a vein on a border is no farther: so much, and voxel edges more
SHORTEST_RUN_MM = 2.0  # on a border or off it
SMOOTHING_STEPS = 1.5


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a vein runs.

    Args:
        border_share: Share of its length within 2 mm of a border between two segments.
        between: The two segments whose border it follows, where it is intersegmental; else None.
    """

    border_share: float
    between: tuple[int, int] | None


class Borders:
    """The borders between segments, prepared for searches.

    Args:
        centres_mm: (n, 3) of their faces.
        pairs: (n, 2) the two segments of each.
        edge_mm: Edge of a cube of a voxel's volume.
    """

    def __init__(self, centres_mm: np.ndarray, pairs: np.ndarray, edge_mm: float) -> None:
        self.centres_mm, self.pairs = centres_mm, pairs
        self.along_mm = min(FARTHEST_MM, max(1.0, ALONG_MM + ALONG_EDGES * edge_mm))
        self.tree = KDTree(centres_mm, balanced_tree=False, compact_nodes=False) if len(centres_mm) else None

    def nearest(self, points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance to the nearest border, and that border's two segments; infinite and 0, 0 without borders."""
        if self.tree is None:
            return np.full(len(points_mm), np.inf), np.zeros((len(points_mm), 2), np.int64)
        gap, place = self.tree.query(points_mm)
        return gap, self.pairs[place]


def cut_at_borders(tree: BranchTree, borders: Borders) -> tuple[BranchTree, tuple[Course, ...]]:
    """Cut a tree's branches where they come to a border or leave it; a cut begins no generation.

    Args:
        tree: Of veins.
        borders: Between the segments.

    Returns:
        The tree, and how each of its branches runs.
    """
    if not tree.branches:
        return tree, ()
    gaps, pairs = borders.nearest(np.concatenate([branch.points_mm for branch in tree.branches]))
    found: list[Branch] = []
    told: list[Course] = []
    last: list[int] = []  # the last part of each branch
    first = 0
    for branch in tree.branches:
        part = slice(first, first + len(branch.points_mm))
        first = part.stop
        parent = last[branch.parent] if branch.parent >= 0 else -1
        for run, along in _runs(branch, gaps[part], borders.along_mm):
            gap = branch.joined_gap_mm if run.start == 0 else 0.0
            points, radii = branch.points_mm[run], branch.radii_mm[run]
            piece = replace(branch, id=len(found), parent=parent, points_mm=points, radii_mm=radii, joined_gap_mm=gap)
            weights, near = np.maximum(point_lengths_mm(piece), 1e-6), gaps[part][run] <= NEAR_MM
            between = _main_pair(pairs[part][run], weights) if along else None
            told.append(Course(border_share=float(weights[near].sum() / weights.sum()), between=between))
            parent = len(found)
            found.append(piece)
        last.append(parent)
    return replace(tree, branches=tuple(found)), tuple(told)


def _runs(branch: Branch, gaps: np.ndarray, along_mm: float) -> list[tuple[slice, bool]]:
    """Parts of a branch on a border and off it; neighbours share a point."""
    near = gaussian_filter1d(np.minimum(gaps, 100.0), SMOOTHING_STEPS, mode="nearest") <= along_mm
    weights = point_lengths_mm(branch)
    while True:
        changes = [0, *(np.flatnonzero(np.diff(near.astype(np.int8))) + 1).tolist(), len(near)]
        lengths = [float(weights[a:b].sum()) for a, b in pairwise(changes)]
        shortest = int(np.argmin(lengths))
        if len(lengths) == 1 or lengths[shortest] >= SHORTEST_RUN_MM:
            break
        near[changes[shortest] : changes[shortest + 1]] ^= True
    ends = [*(b + 1 for b in changes[1:-1]), len(near)]
    return [(slice(a, b), bool(near[a])) for a, b in zip(changes[:-1], ends, strict=True)]


def _main_pair(pairs: np.ndarray, weights: np.ndarray) -> tuple[int, int]:
    kinds, which = np.unique(pairs, axis=0, return_inverse=True)
    best = kinds[np.bincount(which.reshape(-1), weights).argmax()]
    return int(best[0]), int(best[1])

"""The trees of one case, found, joined and named by segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from impulse_nnunet.surgery.cuts import NamedTree
from impulse_nnunet.surgery.faces import borders_between
from impulse_nnunet.surgery.graph import BranchTree, find_tree
from impulse_nnunet.surgery.joining import Join, join_pieces
from impulse_nnunet.surgery.territory import serve
from impulse_nnunet.surgery.veins import Borders, Course, cut_at_borders

VEIN = "vein"


@dataclass(frozen=True, kw_only=True)
class CaseTrees:
    """What was found in one case.

    Args:
        trees: ``airway``, ``artery``, ``vein`` -> tree; those that were given.
        joins: Tree -> joins over gaps of its mask.
        joined: Tree -> (from, to) positions of those joins, LPS.
        apart: Tree -> (voxels, length in mm, first position) of each piece that was left apart, largest first.
        borders: Between segments.
    """

    trees: Mapping[str, NamedTree]
    joins: Mapping[str, tuple[Join, ...]]
    joined: Mapping[str, tuple[tuple[np.ndarray, np.ndarray], ...]]
    apart: Mapping[str, tuple[tuple[int, float, np.ndarray], ...]]
    borders: Borders


def borders_of(labels: np.ndarray, to_world: np.ndarray) -> Borders:
    """The borders between segments, ready for searches."""
    edge = float(np.cbrt(abs(np.linalg.det(to_world[:3, :3]))))
    return Borders(*borders_between(labels, to_world), edge)


def find_case_trees(masks: Mapping[str, np.ndarray], labels: np.ndarray, to_world: np.ndarray) -> CaseTrees:
    """Find the branches of each tree.

    Args:
        masks: Tree -> (d, h, w), anything but 0 is inside.
        labels: (d, h, w) segments, 0 elsewhere.
        to_world: 4 x 4, (d, h, w) indices to LPS.
    """
    borders = borders_of(labels, to_world)
    trees, joins, joined, apart = {}, {}, {}, {}
    for name, mask in masks.items():
        found = find_tree(mask, to_world)
        whole, made = join_pieces(found, labels, to_world)
        joins[name] = made
        joined[name] = tuple((_point(found, join.end), _point(found, join.to)) for join in made)
        apart[name] = _apart(whole)
        courses: tuple[Course, ...] = ()
        if name == VEIN:
            whole, courses = cut_at_borders(whole, borders)
        trees[name] = NamedTree(tree=whole, services=serve(whole, labels, to_world), courses=courses)
    return CaseTrees(trees=trees, joins=joins, joined=joined, apart=apart, borders=borders)


def _point(tree: BranchTree, place: tuple[int, int]) -> np.ndarray:
    return np.asarray(tree.branches[place[0]].points_mm[place[1]])


def _apart(tree: BranchTree) -> tuple[tuple[int, float, np.ndarray], ...]:
    """All pieces but the longest, which is the tree itself."""
    pieces: dict[int, list[int]] = {}
    for branch in tree.branches:
        pieces.setdefault(branch.piece, []).append(branch.id)
    found = []
    for piece, members in pieces.items():
        length = sum(tree.branches[member].length_mm for member in members)
        found.append((tree.voxels[piece], float(length), tree.branches[members[0]].points_mm[0]))
    return tuple(sorted(found, key=lambda one: -one[1])[1:])

"""Subsegments: what is nearest to each of the branches into which a segment's bronchus first divides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import ndimage

from impulse_nnunet.geometry.world import indices_at
from impulse_nnunet.io.files import write_json
from impulse_nnunet.io.label_maps import LabelMap, write_label_map
from impulse_nnunet.outputs.names import LabelNames
from impulse_nnunet.surgery.cuts import NamedTree
from impulse_nnunet.surgery.faces import box_of

LEAST_SHARE = 0.2  # of the length behind a fork: a thinner way is not a branch of the second order
MOST = 9  # subsegments of a segment: their labels are ten times the segment's, and their number
LARGEST_DIVIDED = 6552  # ten times it, and nine, is still a label


def divide(airway: NamedTree, labels: np.ndarray, to_world: np.ndarray) -> np.ndarray:
    """Divide segments by their bronchi.

    Args:
        airway: Bronchi, with the segments that they serve.
        labels: (d, h, w) segments, 0 elsewhere.
        to_world: 4 x 4, (d, h, w) indices to LPS.

    Returns:
        (d, h, w) uint16: ten times the segment's label and the number of the subsegment, 1 where there is but one; 0
        where the segments are 0.
    """
    out = np.zeros(labels.shape, np.uint16)
    spacing = np.linalg.norm(to_world[:3, :3], axis=0)
    for label in np.unique(labels[labels > 0]):
        box = box_of(labels == label)
        inside = labels[box] == label
        seeds = np.zeros(inside.shape, np.uint8)
        first = np.array([part.start for part in box])
        for number, members in enumerate(second_order(airway, int(label)), 1):
            points = np.concatenate([airway.tree.branches[member].points_mm for member in members])
            places = indices_at(points, to_world) - first
            places = places[np.all((places >= 0) & (places < inside.shape), axis=1)]
            seeds[tuple(places.T)] = number
        number = 10 * int(label) + 1
        out[box][inside] = number
        if len(np.unique(seeds[seeds > 0])) > 1:
            nearest = ndimage.distance_transform_edt(
                seeds == 0, sampling=spacing, return_distances=False, return_indices=True
            )
            out[box][inside] = number - 1 + seeds[tuple(nearest)][inside]
    return out


def second_order(airway: NamedTree, label: int) -> list[list[int]]:
    """Branches of a segment in groups: one for each way into which its bronchus divides first, with all behind it."""
    children = airway.tree.children()
    own = [branch.id for branch in airway.tree.branches if airway.services[branch.id].label == label]
    behind = {number: airway.tree.branches[number].length_mm for number in own}
    for number in reversed(own):
        parent = airway.tree.branches[number].parent
        if parent in behind:
            behind[parent] += behind[number]
    ways = [number for number in own if airway.tree.branches[number].parent not in behind]
    ways = _large(ways, behind)
    while len(ways) == 1 and any(child in behind for child in children[ways[0]]):
        ways = _large([child for child in children[ways[0]] if child in behind], behind)
    return [_all_behind(way, children, behind) for way in ways[:MOST]]


def write_subsegments(divided: np.ndarray, like: LabelMap, names: LabelNames, folder: Path) -> None:
    """Write subsegments.nii.gz (or the segments' own format) and subsegments.json, which ``--names`` reads."""
    ending = "".join(like.path.suffixes[-2:]) if like.path.name.endswith(".nii.gz") else like.path.suffix
    write_label_map(divided, like.path, folder / f"subsegments{ending}")
    write_json(
        {str(label): _name(label, names) for label in np.unique(divided[divided > 0]).tolist()},
        folder / "subsegments.json",
    )


def _name(label: int, names: LabelNames) -> str:
    return f"{names.name(label // 10)}{'abcdefghi'[label % 10 - 1]}"


def _large(ways: list[int], behind: Mapping[int, float]) -> list[int]:
    """The ways that hold a fair share of the length, largest first."""
    total = sum(behind[way] for way in ways)
    return sorted((way for way in ways if behind[way] >= LEAST_SHARE * total), key=lambda way: -behind[way])


def _all_behind(way: int, children: list[list[int]], own: Mapping[int, float]) -> list[int]:
    found, todo = [], [way]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += [child for child in children[one] if child in own]
    return found

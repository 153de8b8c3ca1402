"""What a page lists and draws: labels, trees and lesions with their kinds, colours and volumes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import ndimage

from impulse_nnunet.outputs.colours import to_hex
from impulse_nnunet.outputs.page.case import LESION, PageCase
from impulse_nnunet.outputs.trees import TREE_WORDS

TREE, SEGMENT = "tree", "segment"
TREE_COLOURS = {
    "airway": "#DCD3BC",
    "bronchus": "#DCD3BC",
    "artery": "#4A7DE8",
    "vein": "#E0483E",
    "interseg": "#B06FD8",
}
OTHER_TREES = ("#8FD3E8", "#C8A2F0", "#F0A58C", "#A8B4C0")
LESION_COLOUR = "#FF4FD0"
LESION_WORDS = re.compile(r"lesion|tumou?r|nodule|cyst|metasta", re.IGNORECASE)
MOST_COMPARED = 2e6  # voxels among which the one nearest to the centre is looked for


def structures_of(case: PageCase) -> list[dict[str, Any]]:
    """Labels, ascending, then masks that are not empty."""
    return [*_of_labels(case), *_of_masks(case)]


def _of_labels(case: PageCase) -> Iterator[dict[str, Any]]:
    style = case.names.style(case.present)
    boxes = ndimage.find_objects(case.labels)
    for label in case.present:
        box, name = boxes[label - 1], case.names.name(label)
        yield {
            "id": str(label),
            "kind": _kind(name),
            "name": name,
            "colour": to_hex(style.colour(label)),
            "outline": to_hex(style.outline(label, on_dark=True)),
            "volume_ml": case.voxels[label] * case.voxel_ml,
            "inside": _inside(case, case.labels[box] == label, box),
        }


def _of_masks(case: PageCase) -> Iterator[dict[str, Any]]:
    for number, (name, mask) in enumerate(case.masks.items()):
        if not case.voxels[name]:
            continue
        box = ndimage.find_objects(mask.view(np.uint8))[0]
        colour = LESION_COLOUR if name == LESION else TREE_COLOURS.get(name, OTHER_TREES[number % len(OTHER_TREES)])
        yield {
            "id": name,
            "kind": LESION if name == LESION else TREE,
            "name": name,
            "colour": colour,
            "outline": colour,
            "volume_ml": case.voxels[name] * case.voxel_ml,
            "inside": _inside(case, mask[box], box),
        }


def _kind(name: str) -> str:
    if LESION_WORDS.search(name):
        return LESION
    return TREE if TREE_WORDS.search(name) else SEGMENT


def _inside(case: PageCase, mask: np.ndarray, box: tuple[slice, ...]) -> list[float]:
    """World position of the voxel of a mask that is nearest to its centre."""
    step = max(1, round((mask.size / MOST_COMPARED) ** (1 / 3)))
    found = np.argwhere(mask[::step, ::step, ::step]) * step
    if not len(found):
        found = np.argwhere(mask)
    spacing = case.frame.grid.spacing_mm[::-1]
    nearest = found[np.argmin((((found - found.mean(axis=0)) * spacing) ** 2).sum(axis=1))]
    index = nearest + [part.start for part in box]
    return np.asarray(case.frame.grid.to_world @ [*index, 1])[:3].tolist()

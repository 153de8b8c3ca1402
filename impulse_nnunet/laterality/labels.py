"""Labels with a side, by their names, and where they lie in the world."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WORD = re.compile(r"[A-Za-z]+|\d+")
RIGHT_WORDS, LEFT_WORDS = {"right", "r", "rul", "rml", "rll"}, {"left", "l", "lul", "lll"}


@dataclass(frozen=True)
class SidedLabels:
    """Label numbers of each side.

    Args:
        right: Labels on the patient's right.
        left: Labels on the patient's left.
    """

    right: tuple[int, ...]
    left: tuple[int, ...]


def sided_labels(labels: Mapping[str, Any]) -> SidedLabels | None:
    """Labels that name a side (``right S1``, ``kidney_left``, ``LUL``, ``L10``); None unless both sides are named.

    Args:
        labels: ``labels`` of a dataset.json: name -> number.
    """
    right: list[int] = []
    left: list[int] = []
    for name, number in labels.items():
        words = {word.lower() for word in WORD.findall(name)}
        if isinstance(number, int) and number > 0 and bool(words & RIGHT_WORDS) != bool(words & LEFT_WORDS):
            (right if words & RIGHT_WORDS else left).append(number)
    return SidedLabels(tuple(right), tuple(left)) if right and left else None


def left_of_right_mm(segmentation: np.ndarray, sides: SidedLabels, to_world: np.ndarray) -> float | None:
    """How far the left labels' centre lies towards the patient's left of the right labels' centre, mm.

    Args:
        segmentation: (d, h, w) labels.
        sides: Which labels have a side.
        to_world: 4 x 4, (d, h, w) indices to LPS.

    Returns:
        Negative where the header says that right is left; None if a side is missing.
    """
    right, left = (_mean_index(segmentation, labels) for labels in (sides.right, sides.left))
    if right is None or left is None:
        return None
    return float((to_world[:3, :3] @ (left - right))[0])  # x of LPS grows towards the left


def _mean_index(segmentation: np.ndarray, labels: Sequence[int]) -> np.ndarray | None:
    indices = np.argwhere(np.isin(segmentation, labels))
    return indices.mean(0) if len(indices) else None

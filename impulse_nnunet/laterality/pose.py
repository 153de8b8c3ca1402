"""Head and feet, front and back: whether an image agrees better with the training cases after it is turned over.

Unlike left and right, these halves are not alike, so the image itself is compared: the means of its cells
(:func:`~impulse_nnunet.laterality.asymmetry.patient_cells`), right and left half averaged, less their mean, scaled to
length 1. The product with the training cases' mean is highest for an image that lies as they do.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from impulse_nnunet.laterality.asymmetry import CELLS, encode, mean_asymmetry

FEWEST_CASES = 5
LIMIT = 0.1  # by which a turned image must agree better
NEEDED_SHARE = 0.9  # of the training cases that agree less when turned, or the images do not show their ends
HALF = (CELLS[0], CELLS[1], CELLS[2] // 2)
AXES = ("head", "front")  # what can be turned over: z, y of LPS
KINDS = {"head": "upside_down", "front": "back_to_front"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LearnedPose:
    """What the plans hold.

    Args:
        pattern: The training images' mean, as text; empty: not judged.
        axes: Of :data:`AXES`, those that the training images tell.
    """

    pattern: str = ""
    axes: tuple[str, ...] = ()


def pose_of(cells: np.ndarray) -> np.ndarray | None:
    """The description of an image by its cells: (384,) of length 1; None for an image without contrast."""
    halves = (cells + cells[..., ::-1])[..., : CELLS[2] // 2] / 2
    pattern = (halves - halves.mean()).ravel()
    length = float(np.linalg.norm(pattern))
    return pattern / length if length > 1e-6 * max(1.0, float(np.abs(cells).max())) else None


def gains(pose: np.ndarray, mean: np.ndarray, axes: Sequence[str] = AXES) -> dict[tuple[str, ...], float]:
    """By how much an image agrees better with a mean when it is turned over: axes that are turned -> gain."""
    halves = pose.reshape(HALF)
    turned = {("head",): halves[::-1], ("front",): halves[:, ::-1], AXES: halves[::-1, ::-1]}
    now = float(pose @ mean)
    return {names: float(view.ravel() @ mean) - now for names, view in turned.items() if set(names) <= set(axes)}


def turned_over(pose: np.ndarray, mean: np.ndarray, axes: Sequence[str] = AXES) -> tuple[str, ...]:
    """Axes that must be turned over for the image to lie as the training cases do; none if it does."""
    found = gains(pose, mean, axes)
    best = max(found, key=lambda names: found[names], default=())
    return best if best and found[best] > LIMIT else ()


def turn(cells: np.ndarray, axes: Sequence[str]) -> np.ndarray:
    """An image's cells turned over."""
    return cells[tuple(slice(None, None, -1 if axis in axes else 1) for axis in AXES)]


def pose_text(axes: Sequence[str], gain: float) -> str:
    """The line on a case that looks turned over, without its name."""
    words = {"head": "upside down (head and feet exchanged)", "front": "back to front"}
    return (
        f"the image looks {' and '.join(words[axis] for axis in axes)}: turned over it agrees better with the training "
        f"cases (by {gain:.2f}, expected below 0); labels are written as the header says, check the header"
    )


def learn_pose(cases: Mapping[str, np.ndarray]) -> LearnedPose:
    """The training cases' mean for the plans, and what it tells; nothing for fewer than five cases."""
    mean = mean_asymmetry(list(cases.values())) if len(cases) >= FEWEST_CASES else None
    if mean is None:
        return LearnedPose()
    total = np.sum(list(cases.values()), axis=0)
    each = [gains(pose, _unit(total - pose)) for pose in cases.values()]
    told = tuple(axis for axis in AXES if np.mean([found[(axis,)] < -LIMIT for found in each]) >= NEEDED_SHARE)
    if set(told) != set(AXES):
        unclear = " and ".join({"head": "head from feet", "front": "front from back"}[a] for a in AXES if a not in told)
        logger.info("the images do not tell %s; images turned over so will not be noticed at prediction", unclear)
    return LearnedPose(encode(mean), told) if told else LearnedPose()


def odd_poses(cases: Mapping[str, np.ndarray]) -> dict[str, tuple[str, ...]]:
    """Training cases that lie otherwise than the others, with the axes that are turned over."""
    learned = learn_pose(cases)
    total = np.sum(list(cases.values()), axis=0) if cases else np.zeros(1)
    turned = {case: turned_over(pose, _unit(total - pose), learned.axes) for case, pose in cases.items()}
    return {case: axes for case, axes in turned.items() if axes and learned.axes}


def _unit(numbers: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(numbers))
    return numbers / length if length > 0 else numbers

"""Head and feet, front and back: whether an image agrees better with the training cases after it is turned over.

The means of the image's cells along the patient's axes, about the planes to whose sides it is most alike from right to
left and from front to back, right and left half averaged, less what stays the same when the image is turned over, are
scaled to length 1. The product with the training cases' mean is highest for an image that lies as they do.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from impulse_nnunet.geometry.patient_axes import turned_along_patient
from impulse_nnunet.laterality.asymmetry import (
    CELLS,
    FEWEST_CASES,
    PERCENTILES,
    about_the_middle,
    encode,
    mean_asymmetry,
    means_of_cells,
)

MOST_VOXELS = 1_500_000  # that an image's cells are averaged from
LIMIT = 0.1  # by which a turned image must agree better
NEEDED_SHARE = 0.9  # of the training cases, or all but one, agree less when turned, or images do not show their ends
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


def pose_cells(image: np.ndarray, to_world: np.ndarray) -> np.ndarray:
    """Means of an image (d, h, w) in :data:`~impulse_nnunet.laterality.asymmetry.CELLS` along z, y, x of LPS.

    Args:
        image: Any unit.
        to_world: 4 x 4, indices to LPS.
    """
    step = max(1, int(np.ceil((image.size / MOST_VOXELS) ** (1 / 3))))
    values = np.asarray(image[::step, ::step, ::step], np.float32)
    patient = turned_along_patient(np.clip(values, *np.percentile(values, PERCENTILES)), to_world)
    columns = means_of_cells(patient, (CELLS[0], CELLS[1], patient.shape[2]))
    patient = patient[..., about_the_middle(columns)]
    rows = means_of_cells(patient, (CELLS[0], patient.shape[1], CELLS[2])).swapaxes(1, 2)
    return means_of_cells(rows[..., about_the_middle(rows)].swapaxes(1, 2), CELLS)


def pose_of(cells: np.ndarray) -> np.ndarray | None:
    """The description of an image by its cells: (384,) of length 1; None for an image that is the same turned over."""
    halves = (cells + cells[..., ::-1])[..., : CELLS[2] // 2] / 2
    same = (halves + halves[::-1] + halves[:, ::-1] + halves[::-1, ::-1]) / 4
    pattern = (halves - same).ravel()
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
    needed = min(NEEDED_SHARE * len(each), len(each) - 1)
    told = tuple(axis for axis in AXES if sum(found[(axis,)] < -LIMIT for found in each) >= needed)
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

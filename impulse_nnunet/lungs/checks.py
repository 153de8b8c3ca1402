"""Do the anatomy masks of a case hold what they should, and do its lobes fit its segments?"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.label_maps import count_values
from impulse_nnunet.lungs.anatomy import LOBE_CODES, LOBE_OF_SEGMENT, LOBES

SEGMENT_LABELS = tuple(range(len(LOBE_OF_SEGMENT)))
LARGEST_MISFIT = 0.05  # share of the segments' voxels outside their lobe that ground truth may have
LARGEST_MISFIT_OF_OTHERS = 0.5  # predictions may be poor, but more than this means a wrong mapping
CLEAR_MAJORITY = 0.5
logger = logging.getLogger(__name__)


def check_not_empty(case: str, masks: Mapping[str, np.ndarray], strict: bool, predicted: bool) -> None:
    """Refuse masks that show nothing.

    Args:
        case: Case identifier.
        masks: Name -> mask.
        strict: Each has to show something; else all together.
        predicted: A model made them: then it is only said.

    Raises:
        InputError: They do not.
    """
    empty = [name for name, mask in masks.items() if not mask.any()]
    if not empty:
        return
    if predicted or not (strict or len(empty) == len(masks)):
        logger.warning("%s: nothing is labelled as %s", case, ", ".join(empty))
        return
    raise InputError(
        case, f"no voxel of {' or '.join(empty)}", "a mask with content", "correct the file or leave the case out"
    )


def check_lobes(
    case: str, segments: np.ndarray, lobes: Mapping[str, np.ndarray], truth: bool, predicted: bool = False
) -> None:
    """Refuse lobes that do not match the segments of the same case.

    Args:
        case: Case identifier.
        segments: (d, h, w) labels 0 to 18.
        lobes: Name -> mask, in the order of :data:`~impulse_nnunet.lungs.anatomy.LOBES`.
        truth: Both are ground truth: at most 5 % of the segments' voxels may lie outside their lobe, else 50 %.
        predicted: A model made them: then it is only said.

    Raises:
        InputError: Naming the share, and how the lobes are numbered if that can be seen.
    """
    overlap = lobe_overlap(segments, lobes)
    total = overlap.sum()
    share = 1 - np.trace(overlap[:, 1:]) / total if total else 0.0
    limit = LARGEST_MISFIT if truth else LARGEST_MISFIT_OF_OTHERS
    if share <= limit:
        return
    found = f"{100 * share:.1f} % of the segments' voxels outside their lobe{_seen_instead(overlap)}"
    if predicted:
        logger.warning("%s: %s", case, found)
        return
    raise InputError(
        case, found, f"at most {100 * limit:g} %", "correct the lobes or segments, or name the values (`lobe_labels`)"
    )


def lobe_overlap(segments: np.ndarray, lobes: Mapping[str, np.ndarray]) -> np.ndarray:
    """Voxels of the segments of each lobe (rows) in no lobe and in each given lobe (columns): (5, 6)."""
    wanted = np.asarray(LOBE_OF_SEGMENT, np.uint8)[segments]
    given = np.zeros(segments.shape, np.uint8)
    for number, mask in enumerate(lobes.values(), 1):
        given[mask] = number
    number = len(LOBES)
    counts = count_values(wanted * np.uint8(number + 1) + given, (number + 1) ** 2)
    return counts.reshape(number + 1, number + 1)[1:]


def _seen_instead(overlap: np.ndarray) -> str:
    """Lobes that clearly lie where another is expected, in words."""
    codes = list(LOBE_CODES.values())
    swapped = []
    for row, counts in enumerate(overlap):
        most = int(counts[1:].argmax())
        if most != row and counts[1 + most] > CLEAR_MAJORITY * counts.sum():
            swapped.append(f"what is called {codes[most]} lies in {codes[row]}")
    return f" ({', '.join(swapped)})" if swapped else ""

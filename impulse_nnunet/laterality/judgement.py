"""What the asymmetries of training cases say of each of them, and of a case that is predicted."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from impulse_nnunet.laterality.asymmetry import FEWEST_CASES, encode, mean_asymmetry

LIMIT = 0.1  # agreements nearer to 0 than this say nothing
NEEDED_SHARE = 0.9  # of the training cases that agree with the others, or the images do not show their sides

logger = logging.getLogger(__name__)


def looks_mirrored(agreement: float) -> bool:
    """Whether the mirror image agrees with the training cases, and the image itself does not."""
    return agreement < -LIMIT


def agreements(cases: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Agreement of each case's asymmetry with the mean of the others."""
    total = np.sum(list(cases.values()), axis=0)
    found = {}
    for case, numbers in cases.items():
        rest = total - numbers
        length = float(np.linalg.norm(rest))
        found[case] = float(rest @ numbers) / length if length > 0 else 0.0
    return found


def learn(cases: Mapping[str, np.ndarray]) -> str:
    """The training cases' asymmetry for the plans, as text; empty where it does not tell the sides.

    It is empty for fewer than five cases, and where more than a tenth of the cases do not agree with the others.
    """
    if len(cases) < FEWEST_CASES:
        return ""
    mean = mean_asymmetry(list(cases.values()))
    if mean is None or not _tell_sides(agreements(cases)):
        logger.info("the images do not tell left from right; mirrored images will not be noticed at prediction")
        return ""
    return encode(mean)


def training_warnings(gaps_mm: Mapping[str, float], cases: Mapping[str, np.ndarray]) -> list[str]:
    """Lines on training cases whose sides are in doubt.

    Args:
        gaps_mm: How far left labels lie to the left of right ones by the header, of each case.
        cases: Their asymmetries.
    """
    wrong = sorted(case for case, gap in gaps_mm.items() if gap < 0)
    lines = []
    if wrong:
        lines.append(
            f"{len(wrong)} of {len(gaps_mm)} training cases have their right labels on the patient's left by their "
            f"headers: {_named(wrong)}; check these headers, a model learns the sides that it is shown"
        )
    found = agreements(cases) if len(cases) >= FEWEST_CASES else {}
    odd = sorted(case for case, agreement in found.items() if looks_mirrored(agreement))
    if odd and _tell_sides(found):
        lines.append(
            f"{len(odd)} of {len(cases)} training images look mirrored beside the others: {_named(odd)}; check them"
        )
    return lines


def prediction_warning(case: str, agreement: float) -> str:
    """The line on a case that looks mirrored."""
    return (
        f"{case}: the image looks mirrored (left and right exchanged): its mirror image agrees with the training cases "
        f"(agreement {agreement:.2f}, expected above 0); labels are written as the header says, check the header"
    )


def prediction_summary(found: Mapping[str, float]) -> str:
    """One line at the end of a prediction; empty if nothing was looked at."""
    mirrored = sorted(case for case, agreement in found.items() if looks_mirrored(agreement))
    if not found:
        return ""
    if not mirrored:
        return f"left and right: no image of {len(found)} looks mirrored"
    return (
        f"left and right: {len(mirrored)} of {len(found)} images look mirrored: {_named(mirrored)}; check their headers"
    )


def _tell_sides(found: Mapping[str, float]) -> bool:
    """Whether images show their sides: nearly all training cases agree with the others."""
    return bool(np.mean([agreement > LIMIT for agreement in found.values()]) >= NEEDED_SHARE)


def _named(cases: list[str]) -> str:
    return ", ".join(cases[:10]) + (f" and {len(cases) - 10} more" if len(cases) > 10 else "")

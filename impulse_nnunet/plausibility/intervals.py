"""Intervals of a quantity that training cases make likely; wide where there are few of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

FEWEST_CASES = 5
ENOUGH_FOR_MEDIANS = 10
TAIL = 5e-5  # probability beyond one end, of a normal quantity: a case has some hundred of them
TO_STANDARD_DEVIATION = 1.4826  # times the median absolute deviation, of a normal quantity


def interval(values: Sequence[float], floor: float) -> tuple[float, float]:
    """Where a further value is expected: Student's prediction interval, wider by ``floor`` at each end.

    The middle is the median and the spread, from ten cases on, at most 2.5 times what the median absolute deviation
    says, so that one training case that went wrong does not open the interval for all that come. Of fewer, that
    deviation is too small too often.

    Args:
        values: Of the training cases, two or more.
        floor: Added at each end, in the values' unit.
    """
    array = np.asarray(values, np.float64)
    middle = float(np.median(array))
    spread = float(array.std(ddof=1))
    if len(array) >= ENOUGH_FOR_MEDIANS:
        spread = min(spread, 2.5 * TO_STANDARD_DEVIATION * float(np.median(np.abs(array - middle))))
    half = prediction_factor(len(array)) * spread + floor
    return middle - half, middle + half


def prediction_factor(cases: int) -> float:
    """Half a prediction interval in standard deviations: t of n - 1 degrees of freedom times sqrt(1 + 1/n)."""
    return float(-stdtrit(cases - 1, TAIL) * np.sqrt(1 + 1 / cases))


def inside(value: float, ends: Sequence[float]) -> bool:
    """Whether a value lies between the two ends."""
    return bool(ends[0] <= value <= ends[1])

"""Intervals and paired tests on numbers per case: pure functions, seeded, nothing here knows files or metrics.

All intervals are percentile bootstrap intervals over cases. Their ends are means of real resamples: they never leave
the range of the metric (a Dice of at most 1) and exist when all numbers are equal, where BCa has no answer (NI is often
0 in most cases). Their limit: with fewer than about 20 cases they are somewhat too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from impulse_nnunet.errors import InputError

BATCH = 1000  # resamples at a time: memory, never the result
ROUNDING = 10 * np.finfo(np.float64).eps  # numbers nearer than this, relative to their size, are the same


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How intervals and permutation tests are drawn.

    Args:
        level: Confidence level of the intervals, between 0 and 1; tests are significant below 1 - ``level``.
        bootstrap: Resamples of a bootstrap interval.
        permutations: Sign flips of a permutation test; all 2^n are enumerated where they are not more than this.
        seed: Every interval and test starts from this seed, so that none depends on what else is computed.
    """

    level: float = 0.95
    bootstrap: int = 10_000
    permutations: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise InputError("level", str(self.level), "a number between 0 and 1", "e.g. 0.95")
        for name, least in (("bootstrap", 1), ("permutations", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(name, str(getattr(self, name)), f"at least {least}", f"give a larger {name}")


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """Mean paired difference with its interval and two tests; NaN where there are too few pairs."""

    n_pairs: int
    difference: float
    low: float
    high: float
    p_t: float
    p_permutation: float


def finite_mean(values: Iterable[float]) -> float:
    """Mean of what is not NaN; NaN if nothing is."""
    kept = _without_nan(np.fromiter(values, np.float64))
    return float(kept.mean()) if kept.size else math.nan


def finite_deviation(values: Iterable[float]) -> float:
    """Sample standard deviation (n - 1) of what is not NaN; NaN if that is fewer than two numbers."""
    kept = _without_nan(np.fromiter(values, np.float64))
    return float(kept.std(ddof=1)) if kept.size > 1 else math.nan


def mean_interval(values: np.ndarray, resampling: Resampling) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over cases.

    Args:
        values: (case,) numbers; NaN is left out.
        resampling: Level, number of resamples, seed.

    Returns:
        Lower and upper end; NaN with fewer than two numbers.
    """
    values = _without_nan(values)
    if values.size < 2:
        return math.nan, math.nan
    interval = stats.bootstrap(
        (values,),
        np.mean,
        vectorized=True,
        method="percentile",
        confidence_level=resampling.level,
        n_resamples=resampling.bootstrap,
        batch=BATCH,
        random_state=np.random.default_rng(resampling.seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def paired_test(values: np.ndarray, reference: np.ndarray, resampling: Resampling) -> PairedTest:
    """Compare two methods on the same cases; pairs with a NaN are left out.

    Args:
        values: (case,) numbers of the method.
        reference: (case,) numbers of the reference method, same order of cases.
        resampling: Level, numbers of resamples, seed.

    Returns:
        The mean of ``values - reference`` with its bootstrap interval, and the two-sided p-values.
    """
    if values.shape != reference.shape:
        raise ValueError(f"values have shape {values.shape}, reference {reference.shape}; expected the same cases")
    differences = _without_nan(values - reference)
    low, high = mean_interval(differences, resampling)
    return PairedTest(
        n_pairs=differences.size,
        difference=finite_mean(differences),
        low=low,
        high=high,
        p_t=t_test(differences),
        p_permutation=sign_flip_test(differences, resampling.permutations, resampling.seed),
    )


def t_test(differences: np.ndarray) -> float:
    """Two-sided p-value of the paired t-test.

    Args:
        differences: (pair,) numbers without NaN.

    Returns:
        1 if all differences are 0. NaN with fewer than two pairs, and where all differences are the same number: the
        test divides by their spread (the limit of 0 would claim certainty from two pairs). R refuses there as well.
    """
    if differences.size < 2:
        return math.nan
    if not differences.any():
        return 1.0
    if np.ptp(differences) <= ROUNDING * np.abs(differences).max():
        return math.nan
    return float(stats.ttest_1samp(differences, 0).pvalue)


def sign_flip_test(differences: np.ndarray, permutations: int, seed: int) -> float:
    """Two-sided p-value of the paired permutation test: the mean's place among those with random signs.

    Pairs that do not differ are set aside first: a flip leaves them as they are, so the p-value is the same, and with
    many ties (NI is a count) the rest can more often be enumerated.

    Args:
        differences: (pair,) numbers without NaN.
        permutations: Sign flips; all 2^n if they are not more than this, and then the p-value is exact.
        seed: Seed of the random flips.

    Returns:
        1 if at most one pair differs or the mean is 0; NaN with fewer than two pairs. Random flips give at least
        2 / (permutations + 1).
    """
    if differences.size < 2:
        return math.nan
    differing = differences[differences != 0]
    nothing = ROUNDING * np.abs(differing).sum()
    if differing.size < 2 or abs(differing.sum()) <= nothing:  # nothing lies nearer to 0 than a mean of 0
        return 1.0
    result = stats.permutation_test(
        (differing,),
        np.mean,
        vectorized=True,
        permutation_type="samples",
        alternative="two-sided",
        n_resamples=permutations,
        batch=BATCH,
        random_state=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's step-down correction (Holm 1979): the k-th smallest of m p-values times m - k + 1, never decreasing.

    Args:
        p_values: (test,) p-values; NaN is not a test and does not count.

    Returns:
        (test,) corrected p-values, at most 1; NaN stays NaN.
    """
    corrected = np.full(p_values.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    steps = p_values[order] * np.arange(order.size, 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def _without_nan(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    return values[~np.isnan(values)]

"""Methods against a reference method: means with intervals, paired differences with tests, and what to know of them.

Cases are the unit everywhere. With several runs of a method, a case's number is the mean over its runs; the spread of
the runs' means is told apart. Tests use the cases that both methods have; Holm's correction runs over the metrics of
one pair of methods.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from impulse_nnunet.errors import InputError, with_users_names
from impulse_nnunet.evaluation.comparison.checks import (
    check_references,
    check_settings,
    notes_on_cases,
    notes_on_numbers,
    number_of_common_cases,
)
from impulse_nnunet.evaluation.comparison.methods import Method
from impulse_nnunet.evaluation.metric_names import beside_their_numbers, is_secondary
from impulse_nnunet.evaluation.statistics import Resampling, finite_mean, holm, mean_interval, paired_test

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """One metric of one method; the fields are the columns of comparison.csv. NaN where there is no number.

    Args:
        method: Name.
        metric: Name, as in summary.json.
        n_cases: Cases of the method.
        n_nan: Those of them without a number.
        n_runs: Runs of the method.
        mean: Over the cases.
        sd_runs: Standard deviation over the runs of the run's mean.
        ci_low: Lower end of the mean's interval.
        ci_high: Upper end.
        n_pairs: Cases where the method and the reference have a number.
        difference: Mean of method minus reference over the pairs.
        difference_ci_low: Lower end of its interval.
        difference_ci_high: Upper end.
        p_t: Paired t-test.
        p_t_holm: After Holm's correction.
        p_permutation: Paired permutation test.
        p_permutation_holm: After Holm's correction.
    """

    method: str
    metric: str
    n_cases: int
    n_nan: int
    n_runs: int
    mean: float
    sd_runs: float
    ci_low: float
    ci_high: float
    n_pairs: int = 0
    difference: float = math.nan
    difference_ci_low: float = math.nan
    difference_ci_high: float = math.nan
    p_t: float = math.nan
    p_t_holm: float = math.nan
    p_permutation: float = math.nan
    p_permutation_holm: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that the tables show; ``rows`` has every metric of the first method, then of the second, ..."""

    methods: tuple[str, ...]
    reference: str
    metrics: tuple[str, ...]
    resampling: Resampling
    n_common: dict[str, int]  # other method -> cases it shares with the reference
    rows: tuple[ComparisonRow, ...]
    notes: tuple[str, ...]

    def row(self, method: str, metric: str) -> ComparisonRow:
        """The one row of a method and a metric."""
        return self.rows[self.methods.index(method) * len(self.metrics) + self.metrics.index(metric)]


def compare(
    methods: Sequence[Method],
    reference: str | None = None,
    metrics: Sequence[str] | None = None,
    resampling: Resampling | None = None,
    allow_different_settings: bool = False,
) -> Comparison:
    """Compare methods with a reference method.

    Args:
        methods: At least two, with names that differ.
        reference: Name of the method that the others are tested against; the first if None.
        metrics: Which; ``["all"]`` for all that at least two methods have a number for; None for the main ones of
            them (without ``total_ID``, ``share`` and the Dice on a tree's voxels). Holm's correction runs over those
            chosen. An intrusion distance brings its number of intrusions.
        resampling: How intervals and tests are drawn.
        allow_different_settings: Note numbers that were made in different ways instead of refusing them.

    Raises:
        InputError: For different settings or references, an unknown method or metric, or no common case.
    """
    resampling = resampling or Resampling()
    names = [method.name for method in methods]
    if reference is not None and reference not in names:
        raise InputError("`reference`", reference, f"one of {', '.join(names)}", "names are given as NAME=PATH")
    base = methods[0 if reference is None else names.index(reference)]
    notes = check_settings(methods, allow_different_settings) + check_references(methods, allow_different_settings)
    n_common = {method.name: number_of_common_cases(method, base) for method in methods if method is not base}
    chosen, left_out = _choose_metrics(methods, metrics)
    rows = [row for method in methods for row in _rows(method, base, chosen, resampling)]
    notes += notes_on_cases(methods) + notes_on_numbers(methods, len(chosen), resampling) + left_out
    return Comparison(
        methods=tuple(names),
        reference=base.name,
        metrics=tuple(chosen),
        resampling=resampling,
        n_common=n_common,
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _rows(method: Method, base: Method, metrics: Sequence[str], resampling: Resampling) -> list[ComparisonRow]:
    cases = method.cases
    common = sorted(set(cases) & set(base.cases))
    means: list[dict[str, Any]] = []
    for metric in metrics:
        values = method.values(metric, cases)
        low, high = mean_interval(values, resampling)
        means.append(
            {
                "method": method.name,
                "metric": metric,
                "n_cases": len(cases),
                "n_nan": int(np.isnan(values).sum()),
                "n_runs": len(method.runs),
                "mean": finite_mean(values),
                "sd_runs": method.deviation_of_runs(metric),
                "ci_low": low,
                "ci_high": high,
            }
        )
    if method is base:
        return [ComparisonRow(**mean) for mean in means]
    tests = [paired_test(method.values(metric, common), base.values(metric, common), resampling) for metric in metrics]
    p_t, p_permutation = (np.array([getattr(test, name) for test in tests]) for name in ("p_t", "p_permutation"))
    return [
        ComparisonRow(
            **mean,
            n_pairs=test.n_pairs,
            difference=test.difference,
            difference_ci_low=test.low,
            difference_ci_high=test.high,
            p_t=test.p_t,
            p_t_holm=float(t_holm),
            p_permutation=test.p_permutation,
            p_permutation_holm=float(permutation_holm),
        )
        for mean, test, t_holm, permutation_holm in zip(means, tests, holm(p_t), holm(p_permutation), strict=True)
    ]


def _choose_metrics(methods: Sequence[Method], wanted: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """The metrics of the tables, and a note of those that were left out."""
    available = list(dict.fromkeys(metric for method in methods for metric in method.metrics))
    shared = [metric for metric in available if sum(metric in method.metrics for method in methods) > 1]
    if wanted and list(wanted) != [ALL]:
        unknown = [metric for metric in wanted if metric not in available]
        if unknown:
            expected = f"{ALL} or some of {', '.join(available)}"
            raise InputError("`metrics`", ", ".join(unknown), expected, "check the names")
        return beside_their_numbers(wanted, available), []
    if not shared:
        raise InputError("compare", "no metric with numbers in two methods", "common metrics", "evaluate them alike")
    main = [metric for metric in shared if wanted or not is_secondary(metric)] or shared
    left_out = [metric for metric in shared if metric not in main]
    note = with_users_names(f"Also in the summaries, shown with `metrics` {ALL}: {', '.join(left_out)}.")
    return beside_their_numbers(main, available), [note] if left_out else []

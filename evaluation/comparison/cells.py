"""What the tables of a comparison say, before Markdown or LaTeX: cells, headings and the lines below."""

from __future__ import annotations

import math
from dataclasses import dataclass

from impulse_nnunet.evaluation.comparison.compare import Comparison
from impulse_nnunet.evaluation.metric_names import (
    direction,
    is_intrusion_distance,
    scale,
    shown,
    shown_p,
)


@dataclass(frozen=True, kw_only=True)
class MethodCell:
    """A metric of a method as texts: n only where it may be fewer than all cases, spread only of several runs."""

    mean: str
    spread: str
    interval: str
    n: int | None
    best: bool
    significant: bool


@dataclass(frozen=True, kw_only=True)
class PairedLine:
    """A metric's paired difference as texts."""

    metric: str
    n_pairs: str
    difference: str
    interval: str
    p_values: tuple[str, str, str, str]  # t-test, Holm, permutation, Holm


def cells(comparison: Comparison, metric: str) -> list[MethodCell]:
    """One cell per method."""
    rows = [comparison.row(method, metric) for method in comparison.methods]
    numbers = [round(row.mean * scale(metric), 2) * direction(metric) for row in rows]
    finite = [number for number in numbers if not math.isnan(number)]
    best = max(finite) if len(finite) > 1 and direction(metric) else math.nan
    alpha = 1 - comparison.resampling.level
    return [
        MethodCell(
            mean=shown(metric, row.mean),
            spread="" if math.isnan(row.sd_runs) else shown(metric, row.sd_runs),
            interval=_interval(metric, row.ci_low, row.ci_high),
            n=row.n_cases - row.n_nan if row.n_nan or is_intrusion_distance(metric) else None,
            best=number == best,
            significant=max(row.p_t_holm, row.p_permutation_holm) < alpha,
        )
        for row, number in zip(rows, numbers, strict=True)
    ]


def paired_lines(comparison: Comparison, method: str) -> list[PairedLine]:
    """One line per metric that the method and the reference both have."""
    lines = []
    for metric in comparison.metrics:
        row, base = comparison.row(method, metric), comparison.row(comparison.reference, metric)
        if math.isnan(row.mean) or math.isnan(base.mean):
            continue
        p_values = (row.p_t, row.p_t_holm, row.p_permutation, row.p_permutation_holm)
        lines.append(
            PairedLine(
                metric=metric,
                n_pairs=str(row.n_pairs),
                difference=shown(metric, row.difference, sign=True),
                interval=_interval(metric, row.difference_ci_low, row.difference_ci_high, sign=True),
                p_values=(shown_p(p_values[0]), shown_p(p_values[1]), shown_p(p_values[2]), shown_p(p_values[3])),
            )
        )
    return lines


def counts(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Rows above the metrics: the cases of each method, and its runs where any has several."""
    rows = [comparison.row(method, comparison.metrics[0]) for method in comparison.methods]
    found = [("Cases", [str(row.n_cases) for row in rows])]
    if any(row.n_runs > 1 for row in rows):
        found.append(("Runs", [str(row.n_runs) for row in rows]))
    return found


def percent(level: float) -> str:
    """0.95 -> 95 %."""
    return f"{100 * level:g} %"


def explanation(comparison: Comparison) -> list[str]:
    """How to read the means."""
    resampling = comparison.resampling
    lines = [
        f"Mean over cases [{percent(resampling.level)} percentile bootstrap interval, {resampling.bootstrap} resamples "
        f"of the cases]; best mean in bold.",
        f"†: differs from {comparison.reference}, p < {1 - resampling.level:g} in both paired tests after Holm's "
        f"correction.",
    ]
    if any(row.n_runs > 1 for row in comparison.rows):
        lines.append(
            "±: standard deviation over the runs of the run's mean; a case's number is the mean over the runs."
        )
    if any(cell.n is not None for metric in comparison.metrics for cell in cells(comparison, metric)):
        lines.append("n: cases with a number, where that may be fewer than all.")
    if any(is_intrusion_distance(metric) for metric in comparison.metrics):
        lines.append("ID is the mean over cases with intrusions; fewer intrusions can raise it: read it beside NI.")
    return lines


def explanation_of_tests(comparison: Comparison) -> str:
    """How to read the paired differences."""
    resampling = comparison.resampling
    return (
        f"Mean paired difference to {comparison.reference} [{percent(resampling.level)} percentile bootstrap "
        f"interval], in percentage points where the metric is in percent. Two-sided p-values of the paired t-test and "
        f"of the paired permutation test ({resampling.permutations} random sign flips, or all where they are not "
        f"more), each also after Holm's correction over the metrics. Seed {resampling.seed}."
    )


def _interval(metric: str, low: float, high: float, sign: bool = False) -> str:
    return "" if math.isnan(low) else f"[{shown(metric, low, sign)}, {shown(metric, high, sign)}]"

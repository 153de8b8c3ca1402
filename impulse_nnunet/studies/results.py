"""From the runs of a table to its files: seeds pooled, tested against the reference, beside the paper's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from impulse_nnunet.evaluation.comparison.beside_paper import (
    Cost,
    StudyTable,
    SystemRow,
    paper_metrics,
    write_study_table,
)
from impulse_nnunet.evaluation.comparison.compare import Comparison, compare
from impulse_nnunet.evaluation.comparison.methods import Method, read_summary
from impulse_nnunet.evaluation.comparison.tables import write_comparison
from impulse_nnunet.evaluation.metric_names import is_secondary
from impulse_nnunet.evaluation.paper import PAPER
from impulse_nnunet.evaluation.statistics import finite_mean
from impulse_nnunet.studies.options import StudyOptions
from impulse_nnunet.studies.rows import StudyRow, TablePlan
from impulse_nnunet.studies.runs import Run


def write_results(
    table: TablePlan, runs: Sequence[Run], failures: Mapping[str, str], options: StudyOptions
) -> list[Path]:
    """Write the table and the comparison of all runs that are scored; returns the files.

    Args:
        table: Its rows.
        runs: Runs of the rows.
        failures: Title of a run -> why it failed.
        options: Options of the study.
    """
    folder = options.output / f"table_{table.key}"
    scored = {row.key: [run for run in runs if run.row.key == row.key and run.is_scored()] for row in table.rows}
    comparison = _compare(table, scored)
    available = comparison.metrics if comparison is not None else ()
    rows = [_row(row, table, runs, scored[row.key], failures) for row in table.rows]
    result = StudyTable(
        title=table.title,
        rows=tuple(rows),
        comparison=comparison,
        metrics=paper_metrics(available, options.metrics.nsd_names[0]),
        notes=tuple(_notes(runs, scored, options)),
    )
    paths = write_study_table(result, folder, f"table_{table.key}")
    return paths if comparison is None else [*paths, *write_comparison(comparison, folder)]


def _compare(table: TablePlan, scored: Mapping[str, Sequence[Run]]) -> Comparison | None:
    methods = [
        Method(row.name, tuple(read_summary(run.summary) for run in scored[row.key]))
        for row in table.rows
        if scored[row.key]
    ]
    if not methods:
        return None
    names = {row.key: row.name for row in table.rows}
    reference = names[table.reference] if scored[table.reference] else methods[0].name
    available = dict.fromkeys(metric for method in methods for metric in method.metrics)
    return compare(methods, reference, [metric for metric in available if not is_secondary(metric)])


def _row(
    row: StudyRow, table: TablePlan, runs: Sequence[Run], scored: Sequence[Run], failures: Mapping[str, str]
) -> SystemRow:
    costs = [run.cost() for run in scored]
    means = {
        field.name: None
        if any(cost[field.name] is None for cost in costs) or not costs
        else finite_mean(cost[field.name] for cost in costs)
        for field in fields(Cost)
    }
    failed = [f"{run.title}: {failures[run.title]}" for run in runs if run.row is row and run.title in failures]
    return SystemRow(name=row.name, paper=PAPER[table.key].get(row.key, {}), cost=Cost(**means), failures=tuple(failed))


def _notes(runs: Sequence[Run], scored: Mapping[str, Sequence[Run]], options: StudyOptions) -> list[str]:
    place = runs[0].place
    what = "test cases (imagesTs, labelsTs)" if place.test.has_images else f"validation cases of fold {options.fold}"
    budget = "the plans' own" if options.budget is None else f"{options.budget}"
    notes = [f"{len(place.test.cases)} {what}; fold {options.fold}; budget of each training: {budget}."]
    if any(run.row.stock for run in runs):
        mirrors = "with" if options.mirroring else "without (left and right are different labels)"
        notes.append(f"Stock nnU-Net trains and predicts {mirrors} mirroring, with its own plans and batch size.")
    missing = [key for key, found in scored.items() if not found]
    if missing:
        notes.append(f"No numbers yet: {', '.join(missing)}.")
    if options.settings:
        notes.append(
            "Common settings: " + ", ".join(f"{name}={value}" for name, value in options.settings.items()) + "."
        )
    return notes

"""A table of systems as the paper has it: one row a system, what was measured, the paper's figure, and the cost."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from impulse_nnunet.evaluation.comparison.cells import MethodCell, cells, percent
from impulse_nnunet.evaluation.comparison.compare import Comparison
from impulse_nnunet.evaluation.comparison.tables import latex_text, markdown_table
from impulse_nnunet.evaluation.metric_names import direction, label, scale
from impulse_nnunet.evaluation.paper import Figure
from impulse_nnunet.io.files import whole_file

MISSING = "-"
MEASURED = (
    "mean",
    "sd_runs",
    "ci_low",
    "ci_high",
    "n_pairs",
    "difference",
    "difference_ci_low",
    "difference_ci_high",
    "p_t",
    "p_t_holm",
    "p_permutation",
    "p_permutation_holm",
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a system takes; None where unknown, means over its runs.

    Args:
        parameters: That training moves.
        steps: Steps of the optimiser.
        training_seconds: Training seconds of all epochs, validation within them included.
        prediction_seconds: A case, with start-up and writing.
        training_memory_gb: Peak; of the GPU if one was used, else of the main process.
        prediction_memory_gb: The same in prediction.
    """

    parameters: float | None = None
    steps: float | None = None
    training_seconds: float | None = None
    prediction_seconds: float | None = None
    training_memory_gb: float | None = None
    prediction_memory_gb: float | None = None


@dataclass(frozen=True, kw_only=True)
class SystemRow:
    """A row of the table.

    Args:
        name: Name of the system; a method of the comparison if it has numbers.
        paper: Metric of the paper (Dice, NSD, NIB, ...) -> its figure.
        cost: What it takes.
        failures: Runs that failed, one line each.
    """

    name: str
    paper: Mapping[str, Figure]
    cost: Cost
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StudyTable:
    """All that the files say.

    Args:
        title: Title of the table.
        rows: In the paper's order.
        comparison: Comparison of the rows that have numbers; None if no row has.
        metrics: Columns: metric of the paper -> metric of the comparison.
        notes: What to know of the table.
    """

    title: str
    rows: tuple[SystemRow, ...]
    comparison: Comparison | None
    metrics: Mapping[str, str]
    notes: tuple[str, ...]

    def cell(self, row: SystemRow, metric: str) -> MethodCell | None:
        """What was measured of a row; None if nothing was."""
        if self.comparison is None or row.name not in self.comparison.methods:
            return None
        return cells(self.comparison, self.metrics[metric])[self.comparison.methods.index(row.name)]

    def runs(self, row: SystemRow) -> int:
        """Runs with numbers."""
        if self.comparison is None or row.name not in self.comparison.methods:
            return 0
        return self.comparison.row(row.name, self.comparison.metrics[0]).n_runs

    def has_paper(self, metric: str) -> bool:
        """Whether the paper has a figure of any row."""
        return any(metric in row.paper for row in self.rows)

    def mean(self, row: SystemRow, metric: str) -> float:
        """The measured mean in the paper's unit; NaN if there is none."""
        if self.comparison is None or row.name not in self.comparison.methods:
            return math.nan
        name = self.metrics[metric]
        return self.comparison.row(row.name, name).mean * scale(name)


def paper_metrics(available: Sequence[str], nsd: str) -> dict[str, str]:
    """Metric of the paper -> metric of a summary, those that are there.

    Args:
        available: Metrics of the summaries.
        nsd: The NSD that stands for the paper's.
    """
    names = {"Dice": "Dice", "NSD": nsd} | {
        f"{what}{tree}": f"{what}{tree}{'_mm' if what == 'ID' else ''}" for tree in "BA" for what in ("NI", "ID")
    }
    return {paper: ours for paper, ours in names.items() if ours in available}


def write_study_table(table: StudyTable, folder: Path, name: str) -> list[Path]:
    """Write NAME.md, NAME.csv and NAME.tex, each whole or not at all; returns their paths."""
    paths = []
    for ending, text in (("md", markdown(table)), ("csv", csv_text(table)), ("tex", latex(table))):
        paths.append(folder / f"{name}.{ending}")
        with whole_file(paths[-1]) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    return paths


def markdown(table: StudyTable) -> str:
    """The table and what to know of it."""
    heads, rows = _grid(table, bold="**{}**")
    below = "\n".join(f"- {line}" for line in explanation(table))
    return f"# {table.title}\n\n{markdown_table(heads, rows)}\n\n{below}\n"


def latex(table: StudyTable) -> str:
    """The same for a paper; needs the package booktabs."""
    heads, rows = _grid(table, bold="\x00{}\x01")
    lines = [" & ".join(latex_text(text) for text in line) + r" \\" for line in (heads, *rows)]
    lines = [line.replace("\x00", r"\textbf{").replace("\x01", "}") for line in lines]
    caption = latex_text(" ".join([f"{table.title}.", *explanation(table)]))
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table*}",
            r"\centering",
            r"\scriptsize",
            r"\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{caption}}}",
            rf"\begin{{tabular}}{{@{{}}l{'r' * (len(heads) - 1)}@{{}}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table*}",
            "",
        ]
    )


def csv_text(table: StudyTable) -> str:
    """One line a system and metric: measured (fractions as they are), paper (as printed) and cost; empty is unknown."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    costs = [field.name for field in fields(Cost)]
    writer.writerow(("system", "metric", "n_runs", "n_cases", *MEASURED, "paper", "paper_sd", *costs))
    for row in table.rows:
        for metric, name in table.metrics.items():
            measured: list[Any] = [""] * (2 + len(MEASURED))
            if table.comparison is not None and row.name in table.comparison.methods:
                found = table.comparison.row(row.name, name)
                measured = [found.n_runs, found.n_cases, *(_number(getattr(found, field)) for field in MEASURED)]
            figure = row.paper.get(metric)
            paper = ["", ""] if figure is None else [figure.mean, _number(figure.sd)]
            writer.writerow([row.name, name, *measured, *paper, *(_number(getattr(row.cost, cost)) for cost in costs)])
    return text.getvalue()


def explanation(table: StudyTable) -> list[str]:
    """How to read the table, and how its order compares with the paper's."""
    lines = []
    if table.comparison is not None:
        level = 1 - table.comparison.resampling.level
        lines = [
            "Mean over cases; ± standard deviation over the runs (seeds) of the run's mean; best mean in bold. "
            f"Intervals ({percent(table.comparison.resampling.level)}) and paired tests stand in comparison.md.",
            f"†: differs from {table.comparison.reference}, p < {level:g} in both paired tests (t-test and "
            "permutation) after Holm's correction over the metrics.",
        ]
    if any(table.has_paper(metric) for metric in table.metrics):
        lines.append("paper: as printed, on its own data; it names no tolerance for NSD and no unit for ID.")
    lines.append(
        "Parameters: those that training moves. Training: all epochs. Prediction: a case, with start-up and writing. "
        "Memory: peak in training / prediction, of the GPU if one was used, else of the main process."
    )
    lines += [line for metric in table.metrics for line in order_lines(table, metric)]
    lines += [f"Failed: {failure}" for row in table.rows for failure in row.failures]
    return [*lines, *table.notes]


def order_lines(table: StudyTable, metric: str) -> list[str]:
    """The order that was found beside the paper's, best first, and the pairs that swap places; equal figures do not."""
    sign = direction(table.metrics[metric])
    both = [row for row in table.rows if metric in row.paper and not math.isnan(table.mean(row, metric))]
    if len(both) < 2:
        return []
    found = sorted(both, key=lambda row: -sign * table.mean(row, metric))
    printed = sorted(both, key=lambda row: -sign * row.paper[metric].mean)
    swapped = [
        f"{better.name} / {worse.name}"
        for place, better in enumerate(printed)
        for worse in printed[place + 1 :]
        if better.paper[metric].mean != worse.paper[metric].mean
        and sign * (table.mean(better, metric) - table.mean(worse, metric)) < 0
    ]
    name = label(table.metrics[metric])
    return [
        f"Order by {name}, best first: {', '.join(row.name for row in found)}. "
        f"Paper: {', '.join(row.name for row in printed)}. "
        f"{len(swapped)} of {len(both) * (len(both) - 1) // 2} pairs the other way round"
        + (f": {'; '.join(swapped)}." if swapped else ".")
    ]


def _grid(table: StudyTable, bold: str) -> tuple[list[str], list[list[str]]]:
    heads = ["System", "Runs"]
    for metric, name in table.metrics.items():
        heads += [label(name), *(["paper"] if table.has_paper(metric) else [])]
    heads += ["Parameters (M)", "Steps", "Training (min)", "Prediction (s)", "Memory (GB)"]
    return heads, [_line(table, row, bold) for row in table.rows]


def _line(table: StudyTable, row: SystemRow, bold: str) -> list[str]:
    line = [row.name, str(table.runs(row))]
    for metric in table.metrics:
        cell = table.cell(row, metric)
        line.append(("failed" if row.failures else MISSING) if cell is None else _measured(cell, bold))
        if table.has_paper(metric):
            line.append(str(row.paper[metric]) if metric in row.paper else MISSING)
    cost = row.cost
    memory = [_shown(value, 1, 1) for value in (cost.training_memory_gb, cost.prediction_memory_gb)]
    return [
        *line,
        _shown(cost.parameters, 1e6, 2),
        _shown(cost.steps, 1, 0),
        _shown(cost.training_seconds, 60, 1),
        _shown(cost.prediction_seconds, 1, 1),
        " / ".join(memory),
    ]


def _measured(cell: MethodCell, bold: str) -> str:
    text = cell.mean + (f" ± {cell.spread}" if cell.spread else "")
    return (bold.format(text) if cell.best else text) + ("†" if cell.significant else "")


def _shown(value: float | None, unit: float, decimals: int) -> str:
    return MISSING if value is None else f"{value / unit:.{decimals}f}"


def _number(value: float | None) -> float | str:
    return "" if value is None or math.isnan(value) else value

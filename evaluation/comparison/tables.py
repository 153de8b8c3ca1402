"""A comparison as Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from impulse_nnunet.evaluation.comparison.cells import (
    MethodCell,
    cells,
    counts,
    explanation,
    explanation_of_tests,
    paired_lines,
    percent,
)
from impulse_nnunet.evaluation.comparison.compare import Comparison, ComparisonRow
from impulse_nnunet.evaluation.metric_names import label
from impulse_nnunet.io.files import whole_file, write_json

TESTS = ("t-test p", "Holm", "Permutation p", "Holm")
LATEX_SIGNS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
    "†": r"$^{\dagger}$",
}


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write comparison.md, .csv, .tex and .json, each whole or not at all; returns their paths."""
    texts = {"md": markdown(comparison), "csv": csv_text(comparison), "tex": latex(comparison)}
    paths = [folder / f"comparison.{ending}" for ending in (*texts, "json")]
    for path, text in zip(paths, texts.values(), strict=False):
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    write_json(as_json(comparison), paths[-1])
    return paths


def as_json(comparison: Comparison) -> dict[str, Any]:
    """All numbers and how they were made; NaN is null."""
    rows = [
        {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in _items(row)}
        for row in comparison.rows
    ]
    return {
        "reference": comparison.reference,
        "methods": list(comparison.methods),
        "metrics": list(comparison.metrics),
        "settings": {
            **dataclasses.asdict(comparison.resampling),
            "interval": "percentile bootstrap over cases",
            "tests": "paired t-test; paired sign-flip permutation test; two-sided; Holm over the metrics of a pair",
        },
        "n_common_cases": comparison.n_common,
        "rows": rows,
        "notes": list(comparison.notes),
    }


def csv_text(comparison: Comparison) -> str:
    """One line per method and metric, fractions as they are; an empty field is NaN."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(ComparisonRow))
    for row in comparison.rows:
        writer.writerow("" if isinstance(value, float) and math.isnan(value) else value for _, value in _items(row))
    return text.getvalue()


def markdown(comparison: Comparison) -> str:
    """The table of means with what to know of it, then the paired tests of each method."""
    heads = [name + (" (reference)" if name == comparison.reference else "") for name in comparison.methods]
    rows = [[name, *texts] for name, texts in counts(comparison)]
    rows += [[label(metric), *map(_markdown_cell, cells(comparison, metric))] for metric in comparison.metrics]
    below = "\n".join(f"- {line}" for line in (*explanation(comparison), *comparison.notes))
    parts = [markdown_table(["Metric", *heads], rows), below]
    columns = ["Metric", "Pairs", f"Difference [{percent(comparison.resampling.level)}]", *TESTS]
    for method in comparison.n_common:
        parts.append(f"## {_title(comparison, method)}")
        parts.append(
            markdown_table(
                columns,
                [
                    [label(line.metric), line.n_pairs, f"{line.difference} {line.interval}".strip(), *line.p_values]
                    for line in paired_lines(comparison, method)
                ],
            )
        )
    parts.append(explanation_of_tests(comparison))
    return "# Comparison\n\n" + "\n\n".join(parts) + "\n"


def latex(comparison: Comparison) -> str:
    """The table of means, and a table of paired tests for each other method; they need the package booktabs."""
    tests = [
        _latex_tests(comparison, method, f"tab:comparison_tests_{number}")
        for number, method in enumerate(comparison.n_common, 1)
    ]
    return "% needs \\usepackage{booktabs}; for a table over two columns write table*\n" + "\n".join(
        [_latex_means(comparison), *tests]
    )


def _latex_means(comparison: Comparison) -> str:
    lines = [_latex_line(["Metric", *comparison.methods]), r"\midrule"]
    lines += [_latex_line([name, *texts]) for name, texts in counts(comparison)] + [r"\midrule"]
    for number, metric in enumerate(comparison.metrics):
        found = cells(comparison, metric)
        lines += [r"\addlinespace[2pt]"] if number else []
        lines.append(" & ".join([latex_text(label(metric)), *(_latex_mean(cell) for cell in found)]) + r" \\")
        for below in ([cell.interval for cell in found], [_number_of_cases(cell) for cell in found]):
            if any(below):
                small = [rf"{{\scriptsize {_minus(latex_text(text))}}}" if text else "" for text in below]
                lines.append(" & ".join(["", *small]) + r" \\")
    caption = f"Comparison with {comparison.reference}. " + " ".join(explanation(comparison))
    return _latex_table("l" + "r" * len(comparison.methods), lines, caption, "tab:comparison", comparison.notes)


def _latex_tests(comparison: Comparison, method: str, name: str) -> str:
    interval = f"{latex_text(percent(comparison.resampling.level))} interval"
    lines = [
        r" & & & & \multicolumn{2}{c}{t-test} & \multicolumn{2}{c}{Permutation} \\",
        r"\cmidrule(lr){5-6} \cmidrule(l){7-8}",
        rf"Metric & Pairs & Difference & {interval} & $p$ & Holm & $p$ & Holm \\",
        r"\midrule",
    ]
    for line in paired_lines(comparison, method):
        numbers = [_minus(latex_text(text)) for text in (line.difference, line.interval, *line.p_values)]
        lines.append(" & ".join([latex_text(label(line.metric)), line.n_pairs, *numbers]) + r" \\")
    caption = f"{_title(comparison, method)}. {explanation_of_tests(comparison)}"
    return _latex_table("lrrcrrrr", lines, caption, name, ())


def _latex_table(columns: str, lines: Sequence[str], caption: str, name: str, notes: Sequence[str]) -> str:
    formula = latex_text(caption).replace("p $<$ ", "$p<$ ").replace("p-values", "$p$-values")
    below = [rf"\par\smallskip{{\footnotesize {latex_text(note)}}}" for note in notes]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            r"\footnotesize",
            r"\setlength{\tabcolsep}{3.5pt}",
            rf"\caption{{{formula}}}",
            rf"\label{{{name}}}",
            r"\smallskip",
            rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
            r"\toprule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            *below,
            r"\end{table}",
            "",
        ]
    )


def _latex_line(texts: Sequence[str]) -> str:
    return " & ".join(map(latex_text, texts)) + r" \\"


def _latex_mean(cell: MethodCell) -> str:
    mean = rf"\textbf{{{cell.mean}}}" if cell.best else cell.mean
    spread = rf" {{\scriptsize {latex_text('± ' + cell.spread)}}}" if cell.spread else ""
    return mean + spread + (latex_text("†") if cell.significant else "")


def _number_of_cases(cell: MethodCell) -> str:
    return "" if cell.n is None else f"n = {cell.n}"


def _title(comparison: Comparison, method: str) -> str:
    return f"{method} minus {comparison.reference} ({comparison.n_common[method]} common cases)"


def _markdown_cell(cell: MethodCell) -> str:
    mean = cell.mean + (f" ± {cell.spread}" if cell.spread else "")
    mean = f"**{mean}**" if cell.best else mean
    n = "" if cell.n is None else f"({_number_of_cases(cell)})"
    return " ".join(part for part in (mean + ("†" if cell.significant else ""), cell.interval, n) if part)


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, the first to the left, the others to the right."""
    lines = [[text.replace("|", r"\|") for text in line] for line in (heads, *rows)]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(heads))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [
            text.rjust(width) if column else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (padded[0], rule, *padded[1:]))


def latex_text(text: str) -> str:
    """Text with LaTeX's own signs escaped."""
    return "".join(LATEX_SIGNS.get(sign, sign) for sign in text).replace("--", "-{}-")  # no dash out of --metrics


def _minus(text: str) -> str:
    return text.replace("-", "$-$").replace("+", "$+$")


def _items(row: ComparisonRow) -> list[tuple[str, Any]]:
    return [(field.name, getattr(row, field.name)) for field in dataclasses.fields(row)]

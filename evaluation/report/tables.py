"""The tables of the report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from impulse_nnunet.evaluation.report.cells import Cell, Table, best_in_bold, method_head, number_cells, words
from impulse_nnunet.evaluation.report.metrics import heading, is_nsd, of_case, of_mean
from impulse_nnunet.evaluation.report.summaries import CaseResult, Evaluation, number
from impulse_nnunet.evaluation.statistics import Resampling, finite_mean, mean_interval
from impulse_nnunet.outputs.colours import LabelStyle, to_hex

OF_LABELS = ("Dice", "HD95_mm", "ASSD_mm")  # besides every NSD; the counts of voxels stay in summary.json
OF_TREES = {
    "NI": "intrusions (NI) \N{DOWNWARDS ARROW}",
    "ID_mm": "depth (ID, mm) \N{DOWNWARDS ARROW}",
    "total_ID_mm": "total depth (mm) \N{DOWNWARDS ARROW}",
    "share_in_segment": "in own segment (%) \N{UPWARDS ARROW}",
    "share_background": "as background (%) \N{DOWNWARDS ARROW}",
    "Dice_inside": "Dice on the tree (%) \N{UPWARDS ARROW}",
    "n_outside": "voxels in no segment",
}
TREE_LETTERS = (
    " B, A and V are bronchi, arteries and veins: NI counts the intrusions, ID is their mean depth, total ID is NI "
    "times ID; share is the part of the tree in its own predicted segment, and Dice of a tree counts its voxels only."
)
RESAMPLING = Resampling()


def paper_table(methods: Sequence[Evaluation]) -> Table:
    """Means over cases with their intervals: a row for each metric, a column for each method."""
    rows = []
    for metric in union(method.paper for method in methods):
        means = [method.paper.get(metric, math.nan) for method in methods]
        cells = [_mean_with_interval(method, metric) for method in methods]
        rows.append([words(heading(metric)), *best_in_bold(metric, means, cells)])
    head = [[words("metric"), *(Cell(method.name, f"{len(method.cases)} cases") for method in methods)]]
    note = f"Small print: {100 * RESAMPLING.level:g} % bootstrap interval of the mean over cases "
    note += f"({RESAMPLING.bootstrap} resamples, seed {RESAMPLING.seed}); cases without a number (NaN) are left out."
    if len(methods) > 1:
        note += " Bold: the best mean, whether or not the difference is significant (see impulse_nnunet compare)."
    if tree_names(methods):
        note += TREE_LETTERS
    return Table("Means over cases", head, rows, note)


def label_table(methods: Sequence[Evaluation], style: LabelStyle) -> Table:
    """Means over cases for each label."""
    metrics = [
        name for name in union(_metrics_of_labels(method) for method in methods) if name in OF_LABELS or is_nsd(name)
    ]
    rows = []
    for label in evaluated_labels(methods):
        row = [label_words(label, style)]
        for metric in metrics:
            row += number_cells(
                metric, [method.mean.get(label, {}).get(metric, math.nan) for method in methods], of_mean
            )
        counts = [sum(_has(case, label) for case in method.cases.values()) for method in methods]
        rows.append([*row, Cell(", ".join(map(str, counts if len(set(counts)) > 1 else counts[:1])))])
    head = method_head("label", [heading(name) for name in metrics], names_of(methods), "cases")
    return Table("Labels", head, rows, "Means over the cases that have the label in the reference or the prediction.")


def case_table(methods: Sequence[Evaluation]) -> Table:
    """Numbers of each case, the worst Dice of the first method first."""
    names = union(method.paper for method in methods)
    nsd = next((name for name in names if is_nsd(name)), None)
    metrics = [name for name in names if name in ("Dice", nsd) or name.startswith(("NI", "ID"))]
    rows = []
    for case in cases_by_dice(methods):
        row = [words(case)]
        for metric in metrics:
            row += number_cells(metric, [_of_paper(method, case, metric) for method in methods], of_case)
        rows.append(row)
    head = method_head("case", [heading(name) for name in metrics], names_of(methods))
    return Table("Cases", head, rows, f"Sorted by the Dice of {methods[0].name}, the worst case first.")


def tree_table(methods: Sequence[Evaluation]) -> Table | None:
    """Intrusions of each tree, means over cases; None if no tree was evaluated."""
    rows = []
    for tree in tree_names(methods):
        for method in methods:
            cases = [case for case in method.cases.values() if tree in case.trees]
            values = {metric: finite_mean(_of_tree(case, tree, metric) for case in cases) for metric in OF_TREES}
            lead = words(tree if len(methods) == 1 else f"{tree}: {method.name}")
            rows.append([lead, *(Cell(_of_mean(*item)) for item in values.items()), Cell(str(len(cases)))])
    note = (
        "An intrusion is a connected group of tree voxels of one segment that lie outside the predicted segment of "
        "that label; its depth is its largest distance to that predicted segment's surface. Cases without an intrusion "
        "have no depth and are left out of its mean: read it beside the number of intrusions. Intersegmental veins run "
        "between segments and have none of their own."
    )
    return Table("Trees", [[words("tree"), *map(Cell, OF_TREES.values()), Cell("cases")]], rows, note) if rows else None


def intrusions_by_label(methods: Sequence[Evaluation], style: LabelStyle) -> Table | None:
    """NI of each label and tree, mean over cases; None if no tree was evaluated."""
    trees = [tree for tree in tree_names(methods) if any(_entries(method, tree) for method in methods)]
    if not trees:
        return None
    rows = []
    for label in evaluated_labels(methods):
        row = [label_words(label, style)]
        for tree in trees:
            counts = [
                finite_mean(number(entry.get(str(label), {}).get("NI")) for entry in _entries(method, tree))
                for method in methods
            ]
            row += number_cells("NI", counts, of_mean)
        rows.append(row)
    head = method_head("label", trees, names_of(methods))
    return Table("Intrusions by label", head, rows, "Number of intrusions (NI), mean over cases.")


def cases_by_dice(methods: Sequence[Evaluation]) -> list[str]:
    """All cases, by the first method's mean Dice from worst to best; those without one last."""
    dice = {case: _of_paper(methods[0], case, "Dice") for case in union(method.cases for method in methods)}
    return sorted(dice, key=lambda case: (math.inf if math.isnan(dice[case]) else dice[case], case))


def tree_names(methods: Sequence[Evaluation]) -> list[str]:
    """Trees of any method."""
    return union(case.trees for method in methods for case in method.cases.values())


def evaluated_labels(methods: Sequence[Evaluation]) -> list[int]:
    """Labels of any method, ascending."""
    return sorted({label for method in methods for label in method.mean})


def label_words(label: int, style: LabelStyle) -> Cell:
    """A label's number, name and colour."""
    name = style.names.get(label, f"label {label}")
    return words(name if str(label) in name.split() else f"{label} {name}", to_hex(style.colour(label)))


def names_of(methods: Sequence[Evaluation]) -> list[str]:
    """Names of methods."""
    return [method.name for method in methods]


def union(parts: Iterable[Iterable[str]]) -> list[str]:
    """Members of all parts, each once, in the order of their first occurrence."""
    return list(dict.fromkeys(name for part in parts for name in part))


def _mean_with_interval(method: Evaluation, metric: str) -> Cell:
    values = np.array([case.paper.get(metric, math.nan) for case in method.cases.values()])
    low, high = mean_interval(values, RESAMPLING)
    missing = int(np.isnan(values).sum())
    parts = ["" if math.isnan(low) else f"{of_mean(metric, low)} to {of_mean(metric, high)}"]
    parts.append(f"{missing} NaN" if missing else "")
    below = " \N{MIDDLE DOT} ".join(part for part in parts if part)
    return Cell(of_mean(metric, method.paper.get(metric, math.nan)), below)


def _of_tree(case: CaseResult, tree: str, metric: str) -> float:
    entry = case.trees[tree]
    if metric != "share_background":
        return number(entry.get(metric))
    voxels = number(entry.get("n_voxels"))
    return number(entry.get("n_background")) / voxels if voxels > 0 else math.nan


def _of_mean(metric: str, value: float) -> str:
    return f"{value:.0f}" if metric == "n_outside" and not math.isnan(value) else of_mean(metric, value)


def _entries(method: Evaluation, tree: str) -> list[dict[str, dict[str, float]]]:
    found = (case.trees.get(tree, {}).get("per_label") for case in method.cases.values())
    return [entry for entry in found if entry]


def _metrics_of_labels(method: Evaluation) -> Iterable[str]:
    return next(iter(method.mean.values()), {})


def _of_paper(method: Evaluation, case: str, metric: str) -> float:
    return method.cases[case].paper.get(metric, math.nan) if case in method.cases else math.nan


def _has(case: CaseResult, label: int) -> bool:
    return not math.isnan(case.labels.get(label, {}).get("Dice", math.nan))

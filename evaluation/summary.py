"""``summary.json``: nnU-Net's own schema with the other metrics added, and a tidy ``metrics.csv`` beside it."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from impulse_nnunet import __version__
from impulse_nnunet.evaluation.anatomy import TreeMetrics
from impulse_nnunet.evaluation.case import CaseMetrics
from impulse_nnunet.evaluation.folder import CaseFiles, FolderMetrics
from impulse_nnunet.evaluation.settings import TREES, MetricSettings
from impulse_nnunet.evaluation.statistics import finite_mean
from impulse_nnunet.io.files import whole_file
from impulse_nnunet.io.label_scheme import LabelScheme

COUNTS = ("TP", "FP", "FN", "TN", "n_pred", "n_ref")


def summarise(
    metrics: FolderMetrics, scheme: LabelScheme, settings: MetricSettings, labels: list[int], trees: Mapping[str, str]
) -> dict[str, Any]:
    """Make the content of ``summary.json``; NaN where a number is undefined.

    Args:
        metrics: Of the cases.
        scheme: Labels of the data set.
        settings: What was measured.
        labels: Those to report and to average.
        trees: Tree -> folder, for the record.

    Raises:
        ValueError: No case.
    """
    entries = case_entries(metrics, scheme, settings, labels)
    return join_entries(entries, settings_record(scheme, settings, labels, trees), metrics.failures)


def case_entries(
    metrics: FolderMetrics, scheme: LabelScheme, settings: MetricSettings, labels: list[int]
) -> list[dict[str, Any]]:
    """What ``metric_per_case`` holds, one entry for each case in order; NaN where a number is undefined."""
    return [case_entry(metrics.files[case], result, scheme, settings, labels) for case, result in metrics.cases.items()]


def settings_record(
    scheme: LabelScheme, settings: MetricSettings, labels: list[int], trees: Mapping[str, str]
) -> dict[str, Any]:
    """What was measured, and how, as it is written beside the numbers."""
    return dataclasses.asdict(settings) | {
        "version": __version__,
        "labels": labels,
        "label_names": {str(label): name for label, name in scheme.names.items()},
        "ignore_label": scheme.ignore_label,
        "lobes": {name: list(members) for name, members in scheme.lobes.items()},
        "trees": dict(trees),
    }


def join_entries(entries: list[dict[str, Any]], record: dict[str, Any], failures: Mapping[str, str]) -> dict[str, Any]:
    """Make the content of ``summary.json`` from its cases' entries.

    Args:
        entries: Of :func:`case_entries`, in the order of the cases.
        record: Of :func:`settings_record`.
        failures: Identifier -> one line, of the cases without an entry.

    Raises:
        ValueError: No case.
    """
    if not entries:
        raise ValueError("found no case that was evaluated; expected at least one")
    labels = record["labels"]
    mean = _means_of_labels(entries, labels)
    names = list(mean[str(labels[0])])
    numbers = [entry["paper"] for entry in entries]
    return {
        "foreground_mean": {name: float(np.mean([mean[str(label)][name] for label in labels])) for name in names},
        "mean": mean,
        "metric_per_case": entries,
        "paper": {name: finite_mean([number[name] for number in numbers]) for name in _names(numbers)},
        "n_nan": {name: sum(math.isnan(number[name]) for number in numbers) for name in _names(numbers)},
        "settings": record,
        "failures": dict(sorted(failures.items())),
    }


def case_numbers(result: CaseMetrics, classes: list[int], settings: MetricSettings) -> dict[str, float]:
    """One number for each metric of a case, labels averaged as the paper does; NaN where there is none.

    Args:
        result: Of the case.
        classes: To average, from 1.
        settings: What was measured.
    """
    names = ["Dice", *settings.nsd_names, *(["HD95_mm"] * settings.hd95), *(["ASSD_mm"] * settings.assd)]
    numbers = {name: finite_mean(_of(result.per_label[name], classes)) for name in names}
    for name, tree in result.trees.items():
        if tree.intrusions is not None:
            letter, kept = TREES[name], tree.intrusions.of(classes)
            numbers |= {
                f"NI{letter}": float(kept.number),
                f"ID{letter}_mm": kept.mean_distance_mm,
                f"total_ID{letter}_mm": kept.total_distance_mm,
                f"share_{name}": tree.share_of(classes),
            }
        numbers[f"Dice_{name}"] = finite_mean(_of(tree.dice_inside, classes))
    if result.lobes:
        numbers["Dice_lobes"] = finite_mean(list(result.lobes.values()))
    return numbers


def write_summary(summary: dict[str, Any], path: Path) -> None:
    """Write ``summary.json`` (NaN as null) and ``metrics.csv`` beside it; each appears only when it is whole."""
    cases = summary["metric_per_case"]
    lazily = without_nan(summary | {"metric_per_case": []}) | {"metric_per_case": _WithoutNaN(cases)}
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as f:
        f.writelines(json.JSONEncoder(indent=4).iterencode(lazily))
    with whole_file(path.with_name("metrics.csv")) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(("case", "label", "metric", "value"))
        writer.writerows(_rows(summary))


def case_entry(
    files: CaseFiles, result: CaseMetrics, scheme: LabelScheme, settings: MetricSettings, labels: list[int]
) -> dict[str, Any]:
    """One entry of ``metric_per_case``; see :func:`case_entries`."""
    classes = [scheme.labels.index(label) + 1 for label in labels]
    return {
        "case": files.case,
        "reference_file": str(files.reference),
        "prediction_file": str(files.prediction),
        "metrics": {
            str(label): {name: _number(name, values[number - 1]) for name, values in result.per_label.items()}
            for number, label in zip(classes, labels, strict=True)
        },
        "anatomy": {
            name: {"file": str(files.trees[name])} | _tree_entry(tree, classes, labels)
            for name, tree in result.trees.items()
        },
        "lobes": {name: {"Dice": dice} for name, dice in result.lobes.items()},
        "paper": case_numbers(result, classes, settings),
    }


def _tree_entry(tree: TreeMetrics, classes: list[int], labels: list[int]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "n_voxels": int(_of(tree.n_voxels, classes).sum()),
        "n_outside": tree.n_outside,
        "Dice_inside": finite_mean(_of(tree.dice_inside, classes)),
    }
    if tree.intrusions is None:
        return entry
    kept = tree.intrusions.of(classes)
    per_label = {}
    for number, label in zip(classes, labels, strict=True):
        own = kept.of([number])
        per_label[str(label)] = {
            "NI": own.number,
            "ID_mm": own.mean_distance_mm,
            "n_voxels": int(tree.n_voxels[number - 1]),
            "n_background": int(tree.n_background[number - 1]),
            "share_in_segment": float(tree.share_in_segment[number - 1]),
        }
    return entry | {
        "NI": kept.number,
        "ID_mm": kept.mean_distance_mm,
        "total_ID_mm": kept.total_distance_mm,
        "n_undefined_ID": int(np.isnan(kept.distances_mm).sum()),
        "n_background": int(_of(tree.n_background, classes).sum()),
        "share_in_segment": tree.share_of(classes),
        "per_label": per_label,
    }


def _means_of_labels(cases: list[dict[str, Any]], labels: list[int]) -> dict[str, dict[str, float]]:
    means = {}
    for label in map(str, labels):
        entries = [case["metrics"][label] for case in cases]
        means[label] = {name: finite_mean([entry[name] for entry in entries]) for name in entries[0]}
    return means


def _rows(summary: dict[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    for entry in summary["metric_per_case"]:
        case = entry["case"]
        for label, values in entry["metrics"].items():
            yield from ((case, label, name, value) for name, value in values.items())
        for tree, anatomy in entry["anatomy"].items():
            for label, values in anatomy.get("per_label", {}).items():
                yield from ((case, label, f"{tree}_{name}", value) for name, value in values.items())
        for lobe, values in entry["lobes"].items():
            yield case, lobe, "Dice", values["Dice"]
        yield from ((case, "all", name, value) for name, value in entry["paper"].items())


class _WithoutNaN(list[dict[str, Any]]):
    """Entries of cases that lose their NaN one at a time, while they are written: 100 000 have no room twice."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(without_nan, super().__iter__())


def _names(numbers: list[dict[str, float]]) -> list[str]:
    return list(numbers[0])


def _of(values: np.ndarray, classes: list[int]) -> np.ndarray:
    return values[np.asarray(classes) - 1]


def _number(name: str, value: float) -> float | int:
    return int(value) if name in COUNTS else float(value)


def without_nan(value: Any) -> Any:
    """The same content with None, null in JSON, for NaN."""
    if isinstance(value, dict):
        return {str(key): without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def with_nan(value: Any) -> Any:
    """The inverse of :func:`without_nan`, for content whose only nulls are undefined numbers."""
    if isinstance(value, dict):
        return {key: with_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [with_nan(entry) for entry in value]
    return math.nan if value is None else value

"""Reading the summary.json files that ``impulse_nnunet evaluate`` writes."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.comparison.methods import SUMMARY, Summary, summary_of

EVALUATE = "run `impulse_nnunet evaluate` on the folder first"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """The numbers of one case; NaN where a metric does not exist.

    Args:
        name: Case identifier.
        reference_file: Reference labels.
        prediction_file: Predicted labels.
        labels: Label -> metric -> value.
        trees: Tree -> its entry of ``anatomy``.
        lobes: Lobe -> metric -> value.
        paper: Metric -> one number for the case.
    """

    name: str
    reference_file: Path
    prediction_file: Path
    labels: dict[int, dict[str, float]]
    trees: dict[str, dict[str, Any]]
    lobes: dict[str, dict[str, float]]
    paper: dict[str, float]

    @property
    def dice(self) -> float:
        """Mean Dice over labels; NaN if there is none."""
        return self.paper.get("Dice", math.nan)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is known of one prediction folder.

    Args:
        name: Name as the report calls it.
        summary: Its numbers, as the comparison of methods takes them.
        paper: Metric -> mean over cases.
        n_nan: Metric -> cases without a number.
        mean: Label -> metric -> mean over cases.
        cases: By identifier.
        settings: Settings of the evaluation.
        failures: Case identifier -> the reason why it could not be evaluated.
    """

    name: str
    summary: Summary
    paper: dict[str, float]
    n_nan: dict[str, int]
    mean: dict[int, dict[str, float]]
    cases: dict[str, CaseResult]
    settings: dict[str, Any]
    failures: dict[str, str]

    @property
    def label_names(self) -> dict[int, str]:
        """Label -> name, also of labels that were not reported, ascending."""
        named = {int(label): str(name) for label, name in (self.settings.get("label_names") or {}).items()}
        return {label: named.get(label, f"label {label}") for label in sorted({*named, *self.mean})}

    @property
    def lobes(self) -> dict[str, list[int]]:
        """Lobe -> its labels; empty if the data set names none."""
        lobes = self.settings.get("lobes") or {}
        return {str(name): [int(label) for label in labels] for name, labels in lobes.items()}

    @property
    def tree_names(self) -> list[str]:
        """Trees of any case, in the order of their first occurrence."""
        return list(dict.fromkeys(tree for case in self.cases.values() for tree in case.trees))


def read_evaluations(arguments: Sequence[str]) -> list[Evaluation]:
    """Read the summaries of prediction folders.

    Args:
        arguments: FOLDER or NAME=FOLDER each, or the summary.json itself. Without a name the folder's own is taken,
            with as many of its parents as tell it from the others.

    Raises:
        InputError: A folder holds no summary of ours, or two have the same name.
    """
    named = [_split(argument) for argument in arguments]
    paths = [path for _, path in named]
    names = [name or short for (name, _), short in zip(named, _telling_names(paths), strict=True)]
    for name, path in zip(names, paths, strict=True):
        if names.count(name) > 1:
            raise InputError(str(path), f"the name {name!r} twice", "one name for each folder", "give NAME=FOLDER")
    return [read_evaluation(name, path) for name, path in zip(names, paths, strict=True)]


def read_evaluation(name: str, path: Path) -> Evaluation:
    """Read one summary.

    Raises:
        InputError: There is none, it is not ours, or no case was evaluated.
    """
    content = _load(path)
    if "paper" not in content or "settings" not in content:
        raise InputError(str(path), 'no "paper" numbers (nnU-Net\'s own summary has none)', "our summary", EVALUATE)
    failures = {str(case): str(reason) for case, reason in (content.get("failures") or {}).items()}
    if not content.get("metric_per_case"):
        first = next((f"; {case}: {reason}" for case, reason in failures.items()), "")
        found = f"no evaluated case ({len(failures)} failed{first})"
        raise InputError(str(path), found, "one case at least", "fix the cases and evaluate again")
    try:
        cases = [_case(entry, path.parent) for entry in content["metric_per_case"]]
        mean = {int(label): _numbers(values) for label, values in content["mean"].items()}
        paper, n_nan = _numbers(content["paper"]), dict(content.get("n_nan") or {})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found = f"an entry that does not fit ({type(error).__name__}: {error})"
        raise InputError(str(path), found, "a summary of this version", EVALUATE) from error
    _warn_of_newer_files(path, cases)
    by_name = {case.name: case for case in cases}
    return Evaluation(
        name=name,
        summary=summary_of(content, path),
        paper=paper,
        n_nan=n_nan,
        mean=mean,
        cases=by_name,
        settings=content["settings"],
        failures=failures,
    )


def _warn_of_newer_files(path: Path, cases: Sequence[CaseResult]) -> None:
    """Scores say nothing of label maps that were made after them; copies may have any time, so it is no error."""
    time = path.stat().st_mtime
    files = {case.name: case.prediction_file for case in cases}
    newer = [name for name, file in files.items() if file.is_file() and file.stat().st_mtime > time]
    if newer:
        text = "%s: the label maps of %d of %d case(s) are newer than these scores (%s); evaluate again if they changed"
        logger.warning(text, path, len(newer), len(cases), ", ".join(newer[:3]))


def _split(argument: str) -> tuple[str, Path]:
    name, separator, rest = argument.partition("=")
    if not separator or Path(argument).exists():
        return "", _summary(Path(argument))
    if not name or not rest:
        raise InputError(repr(argument), "half of NAME=FOLDER", "both", "e.g. impulse=predictions/fold_0")
    return name, _summary(Path(rest))


def _summary(path: Path) -> Path:
    return path if path.suffix == ".json" else path / SUMMARY


def _telling_names(paths: Sequence[Path]) -> list[str]:
    parts = [path.resolve().parent.parts for path in paths]
    names = [""] * len(paths)
    for depth in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(one[-depth:]) for one in parts]
        if len(set(names)) == len(names):
            break
    return names


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(str(path.parent), f"no {path.name}", "an evaluated prediction folder", EVALUATE)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(str(path), f"broken JSON ({error})", "a summary", EVALUATE) from error
    if not isinstance(content, dict):
        raise InputError(str(path), f"a {type(content).__name__}", "a JSON object", EVALUATE)
    return content


def _case(entry: Mapping[str, Any], folder: Path) -> CaseResult:
    prediction = Path(entry["prediction_file"])
    if not prediction.exists() and (folder / prediction.name).exists():
        prediction = folder / prediction.name  # the folder was moved after its evaluation
    return CaseResult(
        name=str(entry["case"]),
        reference_file=Path(entry["reference_file"]),
        prediction_file=prediction,
        labels={int(label): _numbers(values) for label, values in entry["metrics"].items()},
        trees={str(tree): dict(values) for tree, values in (entry.get("anatomy") or {}).items()},
        lobes={str(lobe): _numbers(values) for lobe, values in (entry.get("lobes") or {}).items()},
        paper=_numbers(entry["paper"]),
    )


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): number(value) for name, value in values.items()}


def number(value: Any) -> float:
    """A JSON number as float; null is NaN."""
    return math.nan if value is None else float(value)

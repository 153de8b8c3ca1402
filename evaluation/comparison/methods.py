"""What is compared: the summary.json of one or several runs of each method, read and checked."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.statistics import finite_deviation, finite_mean

SUMMARY = "summary.json"
WRITE_ONE = "give a summary.json that impulse_nnunet evaluate or nnU-Net wrote"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One run's numbers per case.

    Args:
        path: The file.
        values: Case -> metric -> number, NaN where it is not defined.
        settings: How the numbers were made; nested names are joined with a dot. None in nnU-Net's own files.
        failures: Case -> why it could not be evaluated.
        reference_sizes: (case, label) -> voxels of the label in the reference.
    """

    path: Path
    values: dict[str, dict[str, float]]
    settings: dict[str, Any] | None
    failures: dict[str, str]
    reference_sizes: dict[tuple[str, str], int]


@dataclass(frozen=True)
class Method:
    """A method and its runs (seeds)."""

    name: str
    runs: tuple[Summary, ...]

    @property
    def cases(self) -> list[str]:
        """Cases of any run, sorted."""
        return sorted({case for run in self.runs for case in run.values})

    @property
    def metrics(self) -> list[str]:
        """Metrics with a number for any case, in the files' order."""
        found = {
            metric: None
            for run in self.runs
            for numbers in run.values.values()
            for metric, number in numbers.items()
            if not math.isnan(number)
        }
        return list(found)

    def values(self, metric: str, cases: Sequence[str]) -> np.ndarray:
        """(case,) mean over the runs that have a number for the case; NaN where none has."""
        return np.array(
            [finite_mean(run.values.get(case, {}).get(metric, math.nan) for run in self.runs) for case in cases]
        )

    def deviation_of_runs(self, metric: str) -> float:
        """Standard deviation (n - 1) over the runs of the run's mean over its cases; NaN with one run."""
        return finite_deviation(
            finite_mean(numbers.get(metric, math.nan) for numbers in run.values.values()) for run in self.runs
        )


def read_methods(arguments: Sequence[str]) -> list[Method]:
    """Read PATH, NAME=PATH or NAME=PATH,PATH,...; a PATH is a summary.json or the folder that holds one.

    Without a NAME the method is called after the folder, with as many of the folders above as tell the methods apart.

    Raises:
        InputError: For an unreadable file, a name that was given twice, or fewer than two methods.
    """
    if len(arguments) < 2:
        raise InputError("compare", f"{len(arguments)} method(s)", "at least two", "give another summary.json")
    parsed = [_name_and_paths(argument) for argument in arguments]
    given = [name for name, _ in parsed if name]
    for name in given:
        if given.count(name) > 1:
            raise InputError(
                f"method {name}", "the name twice", "one name per method", f"for several runs give {name}=PATH,PATH"
            )
    names = _names([(name, paths[0]) for name, paths in parsed])
    return [
        Method(name, tuple(read_summary(path) for path in paths))
        for name, (_, paths) in zip(names, parsed, strict=True)
    ]


def read_summary(path: Path | str) -> Summary:
    """Read a summary.json of ours or of nnU-Net (then its only metric is Dice, the mean over labels).

    Raises:
        InputError: For no such file, a file that is not JSON, or one without numbers per case.
    """
    path = _file(Path(path))
    if not path.is_file():
        raise InputError(str(path), "no such file", "a summary.json or its folder", WRITE_ONE)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(str(path), f"no JSON ({error})", "a summary.json", WRITE_ONE) from error
    return summary_of(content, path)


def summary_of(content: Any, path: Path) -> Summary:
    """The numbers in the content of a summary.json.

    Args:
        content: The JSON value.
        path: Where it was read, for messages.

    Raises:
        InputError: It is not a summary, or has no numbers per case.
    """
    entries = content.get("metric_per_case") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError(str(path), "no metric_per_case", "numbers of each case", WRITE_ONE)
    values: dict[str, dict[str, float]] = {}
    sizes: dict[tuple[str, str], int] = {}
    for entry in entries:
        case = _case(entry, path)
        if case in values:
            raise InputError(f"{path}: case {case}", "it twice", "each case once", "evaluate again")
        values[case] = _numbers(entry, f"{path}: case {case}")
        labels = entry.get("metrics") or {}
        sizes.update({(case, label): row["n_ref"] for label, row in labels.items() if row.get("n_ref") is not None})
    settings = content.get("settings")
    return Summary(
        path=path,
        values=values,
        settings=None if settings is None else _flat(settings),
        failures=dict(content.get("failures") or {}),
        reference_sizes=sizes,
    )


def _file(path: Path) -> Path:
    return path / SUMMARY if path.is_dir() else path


def _name_and_paths(argument: str) -> tuple[str, list[Path]]:
    """An argument that exists as it stands is a path, whatever signs are in it."""
    name, sign, rest = argument.partition("=")
    if not sign or Path(argument).exists() or "/" in name:
        return "", [_file(Path(argument))]
    if not name or not rest:
        raise InputError(repr(argument), "an empty name or path", "NAME=PATH", "e.g. ours=RESULTS/summary.json")
    parts = [rest] if Path(rest).exists() else [part for part in rest.split(",") if part]
    return name, [_file(Path(part)) for part in parts]


def _names(methods: Sequence[tuple[str, Path]]) -> list[str]:
    """The given names; the others get the fewest last folders that make them unique."""
    folders = [path.resolve().parent.parts[1:] for _, path in methods]
    for depth in range(1, max(map(len, folders), default=1) + 1):
        names = [name or "/".join(parts[-depth:]) for (name, _), parts in zip(methods, folders, strict=True)]
        if len(set(names)) == len(names):
            return names
    raise InputError("compare", "the same file or name twice", "methods that differ", "give names: NAME=PATH")


def _case(entry: Any, path: Path) -> str:
    known = isinstance(entry, dict)
    file = known and (entry.get("case") or entry.get("prediction_file") or entry.get("reference_file"))
    if not file:
        raise InputError(str(path), "an entry without a case", "a case or a file in each", WRITE_ONE)
    if entry.get("case"):
        return str(file)
    name = str(file).replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".gz")
    return name.rsplit(".", 1)[0]


def _numbers(entry: dict[str, Any], subject: str) -> dict[str, float]:
    """The case's "paper" numbers, or the mean over labels of Dice where nnU-Net wrote the file."""
    paper = entry.get("paper")
    if paper is not None:
        return {metric: _number(number, f"{subject}: {metric}") for metric, number in paper.items()}
    labels = {label: row for label, row in (entry.get("metrics") or {}).items() if label != "0"}
    dice = [_number(row.get("Dice"), f"{subject}: Dice of label {label}") for label, row in labels.items()]
    return {"Dice": finite_mean(dice)}


def _number(value: Any, subject: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isinf(value):
        raise InputError(subject, repr(value), "a finite number or null", "evaluate again")
    return float(value)


def _flat(settings: dict[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat.update(_flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value})
    return flat

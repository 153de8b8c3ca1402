"""Whether methods may be compared: made with the same settings, against the same references, on common cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.comparison.methods import Method, Summary
from impulse_nnunet.evaluation.statistics import Resampling

NAMED = 5  # cases that a note names
ALLOW = "`allow_different_settings`"
FEW = 20  # cases; below, percentile intervals are noticeably too narrow
ONLY_MORE = ("hd95", "assd")  # settings that add metrics and change no other


def number_of_common_cases(method: Method, base: Method) -> int:
    """How many cases two methods share.

    Raises:
        InputError: For none.
    """
    common = len(set(method.cases) & set(base.cases))
    if not common:
        raise InputError(
            f"{method.name} and {base.name}",
            f"no common case (e.g. {method.cases[0]} and {base.cases[0]})",
            "the same cases",
            "predict and evaluate the same images with both",
        )
    return common


def check_settings(methods: Sequence[Method], allow: bool) -> list[str]:
    """Refuse numbers made in different ways; what may differ (files, our version) becomes a note, which is returned.

    Raises:
        InputError: For a setting that differs, unless ``allow``.
    """
    notes: dict[str, None] = {}
    runs = [(method.name, run) for method in methods for run in method.runs]
    unknown = [name for name, run in runs if run.settings is None]
    if unknown:
        names = ", ".join(dict.fromkeys(unknown))
        notes[f"No settings stand in the summary of {names}; whether its numbers were made alike is not known."] = None
    known = [run for _, run in runs if run.settings is not None]
    for run in known[1:]:
        for setting, ours, theirs in _differing(known[0], run):
            harmless = setting == "version" or _is_path(ours) or _is_path(theirs)
            if not harmless and not allow:
                raise InputError(
                    f"{run.path}: setting {setting}",
                    _short(theirs),
                    f"{_short(ours)} as in {known[0].path}",
                    f"evaluate both alike, or give {ALLOW}",
                )
            notes[
                f"{setting} is not the same file or folder for all."
                if _is_path(ours) or _is_path(theirs)
                else f"{setting} differs: {_short(ours)} and {_short(theirs)}."
            ] = None
    return list(notes)


def _differing(first: Summary, other: Summary) -> list[tuple[str, Any, Any]]:
    ours, theirs = first.settings or {}, other.settings or {}
    return [
        (name, ours.get(name, "not set"), theirs.get(name, "not set"))
        for name in dict.fromkeys([*ours, *theirs])
        if name not in ONLY_MORE and ours.get(name, "not set") != theirs.get(name, "not set")
    ]


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and (PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute())


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def check_references(methods: Sequence[Method], allow: bool) -> list[str]:
    """Refuse numbers against different reference labels: a label's size in a case must be the same for all.

    Raises:
        InputError: For a size that differs, unless ``allow``: then it is a note, which is returned.
    """
    seen: dict[tuple[str, str], tuple[int, Summary]] = {}
    for run in (run for method in methods for run in method.runs):
        for (case, label), size in run.reference_sizes.items():
            first, other = seen.setdefault((case, label), (size, run))
            if first != size:
                text = f"reference label {label} of case {case}"
                if not allow:
                    raise InputError(
                        f"{run.path}: {text}",
                        f"{size} voxels",
                        f"{first} as in {other.path}",
                        f"evaluate against the same reference on the same grid, or give {ALLOW}",
                    )
                return [f"The references differ (e.g. {text}: {first} and {size} voxels)."]
    return []


def notes_on_cases(methods: Sequence[Method]) -> list[str]:
    """What to know of the cases: those that not all have, and those that failed."""
    notes = []
    everywhere = set.intersection(*(set(method.cases) for method in methods))
    partly = sorted({case for method in methods for case in method.cases} - everywhere)
    if partly:
        counts = ", ".join(f"{method.name} {len(method.cases)}" for method in methods)
        notes.append(
            f"The methods have different cases ({counts}; {len(everywhere)} in all of them): means are over a method's "
            f"own cases, paired tests over the common ones. Not everywhere: {_some(partly)}."
        )
    for method in methods:
        if any(len(run.values) != len(method.cases) for run in method.runs):
            notes.append(f"The runs of {method.name} have different cases; a case's number is the mean over its runs.")
        failed = sorted({case for run in method.runs for case in run.failures})
        if failed:
            notes.append(
                f"{method.name}: {len(failed)} case{'s' * (len(failed) > 1)} could not be evaluated: {_some(failed)}."
            )
    return notes


def notes_on_numbers(methods: Sequence[Method], n_metrics: int, resampling: Resampling) -> list[str]:
    """What the intervals and tests cannot do with so few cases or sign flips."""
    notes = []
    fewest = min(len(method.cases) for method in methods)
    if fewest < FEW:
        notes.append(f"With so few cases ({fewest}) bootstrap intervals are somewhat too narrow.")
    least = 2 * n_metrics / (resampling.permutations + 1)
    if least >= 1 - resampling.level:
        notes.append(
            f"{resampling.permutations} random sign flips cannot give less than p = {min(least, 1):.3f} after Holm's "
            f"correction over {n_metrics} metrics."
        )
    return notes


def _some(cases: Sequence[str]) -> str:
    return ", ".join(cases[:NAMED]) + (f" and {len(cases) - NAMED} more" if len(cases) > NAMED else "")

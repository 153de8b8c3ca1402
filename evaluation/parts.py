"""Parts of an evaluation: what one shard found, in a file of its own, and their join into one ``summary.json``.

A part is written whole and holds what ``summary.json`` holds for its cases, with a note of every file that a number
came from (:mod:`impulse_nnunet.jobs.content`). A result counts as long as these files hold what they held, whichever
shard found it: shards may run twice, at the same time, or in another number, and a file that was predicted again is
never joined with its old numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.folder import CaseFiles
from impulse_nnunet.evaluation.summary import with_nan, without_nan
from impulse_nnunet.io.files import whole_file
from impulse_nnunet.jobs.content import Notes, are_unchanged
from impulse_nnunet.jobs.shards import Shard

PARTS = "_parts"
PATTERN = "shard_*_of_*.json"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What an evaluation was asked; equal in all its parts.

    Args:
        references: Folder.
        predictions: Folder.
        trees: Tree -> folder.
        ending: Extension of the label maps, None for every known one.
        chill: References without a prediction are no failure.
    """

    references: str
    predictions: str
    trees: dict[str, str]
    ending: str | None
    chill: bool


@dataclass(frozen=True, kw_only=True)
class ShardResult:
    """What one shard found.

    Args:
        shard: Which one.
        question: What it was asked.
        record: The settings, as ``summary.json`` has them.
        entries: Case -> its entry of ``metric_per_case``, NaN where a number is undefined.
        notes: Case -> file -> [bytes, nanoseconds of the last change, digest] when it was read.
        failures: Case -> one line.
    """

    shard: Shard
    question: Question
    record: dict[str, Any]
    entries: dict[str, dict[str, Any]]
    notes: dict[str, Notes]
    failures: dict[str, str]


def parts_folder(summary: Path) -> Path:
    """Where the parts of a summary lie: ``summary_parts`` beside ``summary.json``."""
    return summary.with_name(summary.stem + PARTS)


def part_file(summary: Path, shard: Shard) -> Path:
    """The file of one shard."""
    digits = len(str(shard.count))
    return parts_folder(summary) / f"shard_{shard.index:0{digits}}_of_{shard.count}.json"


def files_of(files: CaseFiles) -> list[Path]:
    """All files of a case."""
    return [files.reference, files.prediction, *files.trees.values()]


def write_part(part: ShardResult, path: Path) -> None:
    """Write a part; it appears only when it is whole. JSON without line breaks: a third of the bytes."""
    content = {
        "shard": [part.shard.index, part.shard.count],
        "question": asdict(part.question),
        "settings": part.record,
        "metric_per_case": without_nan(list(part.entries.values())),
        "notes": part.notes,
        "failures": part.failures,
    }
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def read_part(path: Path) -> ShardResult:
    """Read a part.

    Raises:
        InputError: Not a part.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = {entry["case"]: entry for entry in with_nan(content["metric_per_case"])}
        question, notes = Question(**content["question"]), content.get("notes", {})
        shard, record, failures = Shard(*content["shard"]), content["settings"], content["failures"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            str(path),
            f"no part of an evaluation ({' '.join(str(error).split())[:120]})",
            "a file of impulse_nnunet evaluate with `shard`",
            "remove it and run that shard again",
        ) from error
    return ShardResult(shard=shard, question=question, record=record, entries=entries, notes=notes, failures=failures)


def read_parts(summary: Path) -> list[ShardResult]:
    """Read all parts of a summary and check that they belong together.

    Raises:
        InputError: None, or two of different evaluations.
    """
    folder = parts_folder(summary)
    paths = sorted(folder.glob(PATTERN)) if folder.is_dir() else []
    if not paths:
        raise InputError(
            str(folder),
            "no part of an evaluation",
            "one for each shard",
            f"run impulse_nnunet evaluate with `output` {summary} and `shard` I/N for each I",
        )
    parts: list[ShardResult] = []
    for path in paths:
        part = read_part(path)
        difference = _difference(part, parts[0]) if parts else None
        if difference is not None:
            raise InputError(
                str(path),
                f"{difference[0]} {difference[1]!r}",
                f"{difference[2]!r} as {paths[0].name} has",
                "remove the parts of the other evaluation, or run all shards again with the same flags",
            )
        parts.append(part)
    return parts


def still_valid(part: ShardResult, files: CaseFiles) -> bool:
    """Whether a part holds a result of exactly these files as they are now."""
    return files.case in part.entries and _are_as_read(part, files)


def _are_as_read(part: ShardResult, files: CaseFiles) -> bool:
    noted = part.notes.get(files.case)
    return noted is not None and are_unchanged(noted, files_of(files))


def same_evaluation(part: ShardResult, question: Question, record: Mapping[str, Any]) -> bool:
    """Whether a part answers the same question with the same settings and version."""
    return part.question == question and part.record == json.loads(json.dumps(record))


def join(
    parts: Sequence[ShardResult], cases: Iterable[CaseFiles], unmatched: Mapping[str, str]
) -> tuple[list[dict[str, Any]], dict[str, str], list[str]]:
    """Put the parts' results together.

    Args:
        parts: Parts of one evaluation.
        cases: Those to evaluate, in order.
        unmatched: Case -> reason, of those that cannot be.

    Returns:
        The entries in the order of the cases, the failures as one call would report them, and the cases that no shard
        has tried or whose files have changed since.
    """
    entries, failures, missing = [], dict(unmatched), []
    holders: dict[str, list[ShardResult]] = {}
    for part in parts:
        for case in (*part.entries, *part.failures):
            holders.setdefault(case, []).append(part)
    for files in cases:
        held = holders.get(files.case, [])
        own = next((part.entries[files.case] for part in held if still_valid(part, files)), None)
        if own is not None:
            entries.append(own)
            continue
        failed = (part for part in held if files.case in part.failures and _are_as_read(part, files))
        reason = next((part.failures[files.case] for part in failed), None)
        if reason is not None:
            failures[files.case] = reason
        else:
            missing.append(files.case)
    return entries, dict(sorted(failures.items())), missing


def shards_not_run(parts: Sequence[ShardResult]) -> dict[int, list[int]]:
    """Number of shards -> those of them without a part."""
    there: dict[int, set[int]] = {}
    for part in parts:
        there.setdefault(part.shard.count, set()).add(part.shard.index)
    return {count: sorted(set(range(count)) - found) for count, found in there.items()}


def _difference(part: ShardResult, other: ShardResult) -> tuple[str, Any, Any] | None:
    ours, theirs = ({**asdict(p.question), **p.record} for p in (part, other))
    return next(((name, ours[name], theirs.get(name)) for name in ours if ours[name] != theirs.get(name)), None)

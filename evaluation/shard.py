"""The evaluation of one shard: its part grows on disk while it runs and is taken up again when it runs once more."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.case import CaseMetrics
from impulse_nnunet.evaluation.folder import CaseFiles, evaluate_cases
from impulse_nnunet.evaluation.parts import ShardResult, files_of, read_part, same_evaluation, still_valid, write_part
from impulse_nnunet.evaluation.settings import MetricSettings
from impulse_nnunet.evaluation.summary import case_entry
from impulse_nnunet.io.files import Stamps, stamps_of
from impulse_nnunet.io.label_scheme import LabelScheme
from impulse_nnunet.jobs.content import Notes, note_files

SECONDS_BETWEEN_WRITES = 30.0  # what a killed shard loses at most, besides the cases in work


def evaluate_shard(
    part: ShardResult,
    cases: list[CaseFiles],
    path: Path,
    scheme: LabelScheme,
    settings: MetricSettings,
    processes: int = 1,
    progress: bool = True,
) -> ShardResult:
    """Evaluate the cases of a shard and write them as a part.

    Args:
        part: Without entries; its failures are cases that cannot be evaluated.
        cases: The others.
        path: Of the part. What stands there is used where it answers the same question about unchanged files.
        scheme: Labels of the data set.
        settings: What to measure.
        processes: At once.
        progress: Show a bar.

    Returns:
        The part as it was written, its entries in the order of the cases.
    """
    labels: list[int] = part.record["labels"]
    stamps = {files.case: stamps_of(files_of(files)) for files in cases}
    _keep(part, cases, path)
    last = time.monotonic()

    def finished(files: CaseFiles, outcome: CaseMetrics | str) -> None:
        nonlocal last
        part.notes[files.case] = _notes(files, stamps[files.case])
        if isinstance(outcome, CaseMetrics):
            part.entries[files.case] = case_entry(files, outcome, scheme, settings, labels)
        else:
            part.failures[files.case] = outcome
        if time.monotonic() - last > SECONDS_BETWEEN_WRITES:
            write_part(part, path)
            last = time.monotonic()

    todo = [files for files in cases if files.case not in part.entries]
    evaluate_cases(todo, scheme, settings, processes, progress, finished)
    ordered = {files.case: part.entries[files.case] for files in cases if files.case in part.entries}
    whole = replace(part, entries=ordered, failures=dict(sorted(part.failures.items())))
    write_part(whole, path)
    return whole


def _notes(files: CaseFiles, stamps: Stamps) -> Notes:
    """Notes of the files that a result came from; none where one has changed since ``stamps``, so that it is redone."""
    notes = note_files(files_of(files))
    return notes if stamps_of(files_of(files)) == stamps else {}


def _keep(part: ShardResult, cases: list[CaseFiles], path: Path) -> None:
    """Take over what still holds of the part that an earlier call wrote."""
    if not path.is_file():
        return
    try:
        old = read_part(path)
    except InputError:
        return  # whatever it is, this shard writes its own part in its place
    if not same_evaluation(old, part.question, part.record):
        return
    for case in [files.case for files in cases if still_valid(old, files)]:
        part.entries[case], part.notes[case] = old.entries[case], old.notes[case]

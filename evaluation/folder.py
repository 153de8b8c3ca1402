"""A folder of predictions against a folder of references: cases on processes, one bad case does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.case import CaseMetrics, evaluate_case
from impulse_nnunet.evaluation.classes import to_classes
from impulse_nnunet.evaluation.settings import INTERSEG, MetricSettings
from impulse_nnunet.io.files import check_unchanged, stamps_of
from impulse_nnunet.io.label_maps import LabelMap, read_label_map
from impulse_nnunet.io.label_scheme import LabelScheme
from impulse_nnunet.io.listing import cases_in
from impulse_nnunet.io.same_grid import check_same_grid
from impulse_nnunet.jobs.pool import Work, outcomes
from impulse_nnunet.jobs.shards import Shard


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """The files of one case.

    Args:
        case: Identifier.
        reference: Label map.
        prediction: Label map on the same grid.
        trees: Tree -> file on the same grid.
    """

    case: str
    reference: Path
    prediction: Path
    trees: Mapping[str, Path]


@dataclass(frozen=True)
class FolderMetrics:
    """What came of a folder.

    Args:
        cases: The cases that were evaluated, by identifier, in order.
        files: Their files.
        failures: Identifier -> one line, of the others.
    """

    cases: dict[str, CaseMetrics]
    files: dict[str, CaseFiles]
    failures: dict[str, str]


def evaluate_files(files: CaseFiles, scheme: LabelScheme, settings: MetricSettings) -> CaseMetrics:
    """Read one case and measure it, in the geometry of the reference.

    Raises:
        InputError: A file that is missing, unreadable, on another grid, with unknown labels, or changed meanwhile.
    """
    stamps = stamps_of([files.reference, files.prediction, *files.trees.values()])
    reference = read_label_map(files.reference)
    prediction = read_label_map(files.prediction)
    check_same_grid(prediction.grid, reference.grid, str(files.prediction), str(files.reference))
    valid, truth = None, reference
    if scheme.ignore_label is not None:
        valid = reference.labels != scheme.ignore_label
        truth = LabelMap(reference.labels * valid, reference.grid, reference.path)
    trees = {}
    for name, path in files.trees.items():
        tree = read_label_map(path)
        check_same_grid(tree.grid, reference.grid, str(path), str(files.reference))
        carries_labels = settings.tree_labels and name != INTERSEG
        trees[name] = to_classes(tree, scheme.labels) if carries_labels else tree.labels
    check_unchanged(stamps, files.case)
    number = {label: i for i, label in enumerate(scheme.labels, 1)}
    lobes = {name: [number[label] for label in labels] for name, labels in scheme.lobes.items()}
    return evaluate_case(
        to_classes(truth, scheme.labels),
        to_classes(prediction, scheme.labels),
        len(scheme.labels) + 1,
        reference.spacing_mm,
        settings,
        trees,
        lobes,
        valid,
    )


def match_files(
    references: Path,
    predictions: Path,
    trees: Mapping[str, Path],
    ending: str | None,
    chill: bool,
    shard: Shard | None = None,
) -> tuple[list[CaseFiles], dict[str, str]]:
    """Pair references, predictions and trees by case identifier.

    Args:
        references: Folder.
        predictions: Folder.
        trees: Tree -> folder.
        ending: Of the label maps; None takes every known one.
        chill: References without a prediction are no failure.
        shard: Only its share of the references, and what belongs to them. The references are counted, not the
            predictions, so that a prediction that comes late moves no other case to another shard.

    Returns:
        The cases that have both, and case -> reason for those that lack one.
    """
    truth, predicted = cases_in(references, ending), cases_in(predictions, ending)
    if shard is not None:
        truth = {case: truth[case] for case in shard.of(sorted(truth))}
        predicted = {case: predicted[case] for case in truth if case in predicted}
    branches = {name: cases_in(folder) for name, folder in trees.items()}
    failures = {}
    for case in sorted(truth.keys() ^ predicted.keys()):
        have, lack = (predictions, references) if case in predicted else (references, predictions)
        kind = "prediction without a reference" if case in predicted else "reference without a prediction"
        if case in predicted or not chill:
            failures[case] = str(
                InputError(case, f"a {kind}", f"a file of that name in {lack}", f"add it, or remove it from {have}")
            )
    cases = []
    for case in sorted(truth.keys() & predicted.keys()):
        found = {name: files[case] for name, files in branches.items() if case in files}
        missing = [name for name in trees if name not in found]
        if missing:
            failures[case] = str(
                InputError(
                    case, f"no {missing[0]} file", f"one in {trees[missing[0]]}", "add it, or leave that tree out"
                )
            )
        else:
            cases.append(CaseFiles(case=case, reference=truth[case], prediction=predicted[case], trees=found))
    return cases, failures


def evaluate_cases(
    cases: list[CaseFiles],
    scheme: LabelScheme,
    settings: MetricSettings,
    processes: int = 1,
    progress: bool = True,
    finished: Callable[[CaseFiles, CaseMetrics | str], None] | None = None,
) -> FolderMetrics:
    """Evaluate cases, on ``processes`` processes.

    A case that cannot be evaluated is reported in ``failures``; so is one whose process died. ``finished`` is called in
    this process after each case, with its numbers or the reason why there are none.
    """
    results: dict[str, CaseMetrics] = {}
    failures: dict[str, str] = {}
    bar = tqdm(total=len(cases), desc="evaluating", unit="case", disable=not progress)
    work = Work(function=partial(evaluate_files, scheme=scheme, settings=settings), case=_case_of, result="numbers")
    for files, outcome in outcomes(work, cases, processes):
        if isinstance(outcome, CaseMetrics):
            results[files.case] = outcome
        else:
            failures[files.case] = outcome.reason
            tqdm.write(f"{files.case} failed: {outcome.reason}") if progress else None
        if finished is not None:
            finished(files, outcome if isinstance(outcome, CaseMetrics) else outcome.reason)
        bar.update()
    bar.close()
    ordered = {files.case: results[files.case] for files in cases if files.case in results}
    return FolderMetrics(ordered, {files.case: files for files in cases}, dict(sorted(failures.items())))


def _case_of(files: CaseFiles) -> str:
    return files.case

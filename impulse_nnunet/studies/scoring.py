"""The cases that a table is made on, and scoring predictions of them with all metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.evaluation.folder import evaluate_cases, match_files
from impulse_nnunet.evaluation.settings import MetricSettings
from impulse_nnunet.evaluation.summary import summarise, write_summary
from impulse_nnunet.io.dataset_json import read_dataset_json
from impulse_nnunet.io.label_scheme import label_scheme
from impulse_nnunet.nnunet.datasets import FOLDS, default_splits, read_splits

TREES = ("airway", "artery")  # the paper's: veins are left out
TREE_FOLDER = "trees"


@dataclass(frozen=True, kw_only=True)
class EvaluationCases:
    """The cases that are scored: those of imagesTs and labelsTs, else the fold's validation cases.

    Args:
        raw: Raw data set.
        images: Folder of the images.
        references: Folder of the label maps.
        cases: Case identifiers.
        has_images: Whether they are predicted from a folder; else nnU-Net's validation has predicted them.
        trees: Tree -> folder, where the data set has trees of all cases.
    """

    raw: Path
    images: Path
    references: Path
    cases: tuple[str, ...]
    has_images: bool
    trees: Mapping[str, Path]

    @classmethod
    def of(cls, raw: Path, fold: int | str) -> EvaluationCases:
        """Find the cases of a raw data set.

        Raises:
            InputError: Labels without images, or no split for the fold.
        """
        ending = read_dataset_json(raw / "dataset.json")["file_ending"]
        labels, images = raw / "labelsTs", raw / "imagesTs"
        cases = sorted(path.name.removesuffix(ending) for path in labels.glob(f"*{ending}"))
        if cases and not all((images / f"{case}_0000{ending}").is_file() for case in cases):
            raise InputError(str(images), "no image of some cases of labelsTs", "images of all of them", "add them")
        references = labels
        if not cases:
            images, references = raw / "imagesTr", raw / "labelsTr"
            training = sorted(path.name.removesuffix(ending) for path in references.glob(f"*{ending}"))
            cases = _validation_cases(raw.name, training, fold)
        trees = {name: raw / TREE_FOLDER / name for name in TREES}
        whole = all((folder / f"{case}{ending}").is_file() for folder in trees.values() for case in cases)
        return cls(
            raw=raw,
            images=images,
            references=references,
            cases=tuple(cases),
            has_images=references == labels,
            trees=trees if whole else {},
        )


def score(predictions: Path, test: EvaluationCases, metrics: MetricSettings, processes: int, summary: Path) -> None:
    """Score predictions as ``impulse_nnunet evaluate`` does; writes summary.json and metrics.csv.

    Raises:
        CasesFailedError: Cases could not be scored; the others were, and stand in the summary.
    """
    path = test.raw / "dataset.json"
    content = read_dataset_json(path)
    scheme = label_scheme(content, path)
    matched, unmatched = match_files(test.references, predictions, test.trees, content["file_ending"], chill=True)
    wanted = [files for files in matched if files.case in test.cases]
    found = {files.case for files in wanted}
    measured = evaluate_cases(wanted, scheme, metrics, processes, progress=False)
    missing = {
        case: unmatched.get(case) or str(InputError(case, "no prediction", f"one in {predictions}", "predict again"))
        for case in test.cases
        if case not in found
    }
    measured.failures.update(missing)
    if measured.cases:
        folders = {name: str(folder) for name, folder in test.trees.items()}
        write_summary(summarise(measured, scheme, metrics, scheme.labels, folders), summary)
    if measured.failures:
        raise CasesFailedError(measured.failures, len(test.cases))


def means_of(summary: Path) -> dict[str, float]:
    """Dice and the NSDs of a summary, means over its cases; those that are defined."""
    numbers = json.loads(summary.read_text(encoding="utf-8"))["paper"]
    return {
        name: value
        for name, value in numbers.items()
        if name.startswith(("Dice", "NSD")) and value is not None and not name.startswith("Dice_")
    }


def _validation_cases(dataset: str, training: list[str], fold: int | str) -> list[str]:
    """Of the split that is there, or that nnU-Net's training is going to make."""
    splits = read_splits(dataset)
    if splits is None and len(training) >= FOLDS:
        splits = default_splits(training)
    if splits is None or not isinstance(fold, int) or fold >= len(splits):
        raise InputError(
            f"fold {fold} of {dataset}",
            "no validation cases",
            "imagesTs and labelsTs, or a fold of a split",
            "add test cases, or choose another `fold`",
        )
    return sorted(splits[fold]["val"])

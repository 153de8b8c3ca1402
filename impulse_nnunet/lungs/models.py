"""Trained models as sources of anatomy masks: which cases each fold saw, and predictions by folds that did not.

A segment model must learn from masks as good as those that it will get: a training case's masks come from a fold that
did not train on it (nnU-Net writes them to ``fold_K/validation``), never from one that did.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dataset_json import read_dataset_json
from impulse_nnunet.io.json_files import read_json_object
from impulse_nnunet.nnunet.datasets import SPLITS, read_splits
from impulse_nnunet.nnunet.models import trained_folds

SPLIT_IN_LOG = re.compile(r"This split has (\d+) training and (\d+) validation cases")


@dataclass(frozen=True, kw_only=True)
class ShapeModel:
    """A model folder, ``.../TRAINER__PLANS__CONFIGURATION``.

    Args:
        folder: The folder.
        setting: Name of the argument that gave it, for messages.
        folds: Folds to use.
        checkpoint: Name of the checkpoints, for cases that no fold saw.
        dataset: Name of the data set that it was trained on.
        ending: Extension of its files.
        splits: Splits of nnUNet_preprocessed, if it is there.
        training_cases: All cases that nnU-Net had for training, if that is known.
    """

    folder: Path
    setting: str
    folds: tuple[str, ...]
    checkpoint: str
    dataset: str
    ending: str
    splits: list[dict[str, list[str]]] | None = None
    training_cases: frozenset[str] | None = None
    _checked: dict[str, frozenset[str]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Data set and model, for records and messages."""
        return f"{self.dataset}/{self.folder.name}"

    def check_folds(self, cases: Sequence[str]) -> None:
        """Refuse folds whose validation is not finished or not that of the split, before any case is looked at.

        Args:
            cases: Training cases of the data set that is built.

        Raises:
            InputError: Naming the fold.
        """
        for fold in self.folds:
            split = None if fold == "all" else self._split(fold)
            if split is not None and set(cases) & set(split["val"]):
                self._validated(fold)

    def out_of_fold(self, case: str) -> tuple[str, Path] | None:
        """The fold that did not train on a case, and its prediction; None for a case that the model never had.

        Raises:
            InputError: Every fold that is there saw the case, or what they saw is not known.
        """
        if self.training_cases is not None and case not in self.training_cases:
            return None
        for fold in self.folds:
            split = None if fold == "all" else self._split(fold)
            if fold == "all" or (split is not None and case not in split["val"]):
                continue
            if case in self._validated(fold):
                return fold, self.folder / f"fold_{fold}" / "validation" / f"{case}{self.ending}"
        self._refuse_unknown(case)
        needed = [str(fold) for fold, split in enumerate(self.splits or ()) if case in split["val"]]
        remedy = f"train fold {needed[0]} too" if needed else "train the folds of a cross-validation"
        raise InputError(
            case,
            f"that every trained fold of {self.name} ({', '.join(self.folds)}) saw it",
            "a fold that did not",
            f"{remedy}, or give `{self.setting}` a folder of other predictions",
        )

    def check_unseen(self, case: str) -> None:
        """Refuse a test case that the model was trained with, or of which that is not known.

        Raises:
            InputError: It is so.
        """
        self._refuse_unknown(case)
        if case in (self.training_cases or ()):
            raise InputError(
                case,
                f"a test case that {self.name} had among its training cases",
                "a case that it never saw",
                f"take it out of imagesTs, or give `{self.setting}` another model",
            )

    def _refuse_unknown(self, case: str) -> None:
        if self.training_cases is None:
            raise InputError(
                case,
                f"no record of the cases that {self.name} was trained with",
                f"nnUNet_preprocessed/{self.dataset} with {SPLITS} or gt_segmentations",
                f"bring that folder along, or predict the images and give `{self.setting}` the folder of predictions",
            )

    def _validated(self, fold: str) -> frozenset[str]:
        """Cases of a fold's validation, checked against the split."""
        if fold not in self._checked:
            self._checked[fold] = self._check_validation(fold)
        return self._checked[fold]

    def _check_validation(self, fold: str) -> frozenset[str]:
        folder = self.folder / f"fold_{fold}"
        validation = folder / "validation"
        if not (validation / "summary.json").is_file():
            raise InputError(
                str(validation),
                "no finished validation",
                "a prediction of each validation case and summary.json",
                f"run nnUNetv2_train ... {fold} with `only_run_validation`, or name the folds to use",
            )
        found = frozenset(path.name[: -len(self.ending)] for path in validation.glob(f"*{self.ending}"))
        split = self._split(fold)
        if split is None:
            return found
        training, validated = frozenset(split["train"]), frozenset(split["val"])
        logged = _logged_split(folder)
        changed = f"{SPLITS} was changed after that training; bring back the one it was trained with, or train again"
        if found != validated or training & validated:
            case = min((found ^ validated) | (training & validated))
            raise InputError(
                str(folder),
                f"a validation of other cases than {SPLITS} names, e.g. {case}",
                "the same cases",
                changed,
            )
        if logged is not None and logged != (len(training), len(validated)):
            raise InputError(
                str(folder),
                f"a training with {logged[0]} and {logged[1]} cases by its log",
                f"{len(training)} and {len(validated)} as {SPLITS} has it",
                changed,
            )
        return found

    def _split(self, fold: str) -> dict[str, list[str]] | None:
        if self.splits is None:
            return None
        if int(fold) >= len(self.splits):
            raise InputError(
                f"{self.folder}/fold_{fold}",
                f"a split of {len(self.splits)} folds",
                f"one with fold {fold}",
                "leave this fold out",
            )
        return self.splits[int(fold)]


def is_model_folder(folder: Path) -> bool:
    """Whether nnU-Net trained a model there."""
    return (folder / "plans.json").is_file() and any(folder.glob("fold_*"))


def read_model(folder: Path, setting: str, folds: Sequence[str] | None, checkpoint: str) -> ShapeModel:
    """Read what a model folder, and nnU-Net's preprocessed folder, say of a model.

    Args:
        folder: Folder of the model.
        setting: Name of the argument that gives it, for messages.
        folds: Folds to use; by default all, which must have the checkpoint.
        checkpoint: Name of the checkpoints.

    Raises:
        InputError: The folder is incomplete.
    """
    plans = read_json_object(folder / "plans.json", "that of a trained model", f"check `{setting}`")
    dataset_json = read_dataset_json(folder / "dataset.json", ("labels", "file_ending"), f"check `{setting}`")
    trained = sorted(path.parent.name.removeprefix("fold_") for path in folder.glob(f"fold_*/{checkpoint}"))
    missing = [fold for fold in folds or () if fold not in trained]
    if missing or not trained:
        raise InputError(
            str(folder),
            f"no {checkpoint} of fold {missing[0]}" if missing else f"no fold with {checkpoint}",
            "a trained model",
            "finish its training, or choose other folds or `checkpoint`",
        )
    name = str(plans["dataset_name"])
    splits, cases = _preprocessed_facts(name, dataset_json["file_ending"])
    chosen = tuple(folds or map(str, trained_folds(folder, checkpoint, f"{setting.removesuffix('s')}_folds")))
    return ShapeModel(
        folder=folder,
        setting=setting,
        folds=chosen,
        checkpoint=checkpoint,
        dataset=name,
        ending=dataset_json["file_ending"],
        splits=splits,
        training_cases=cases,
    )


def _preprocessed_facts(dataset: str, ending: str) -> tuple[list[dict[str, list[str]]] | None, frozenset[str] | None]:
    splits = read_splits(dataset)
    cases = {case for split in splits or () for part in split.values() for case in part}
    base = os.environ.get("nnUNet_preprocessed")
    references = Path(base or "", dataset, "gt_segmentations")
    if base and references.is_dir():
        cases |= {path.name[: -len(ending)] for path in references.glob(f"*{ending}")}
    return splits, frozenset(cases) if cases else None


def _logged_split(folder: Path) -> tuple[int, int] | None:
    """Training and validation cases of a fold's latest training by its logs."""
    for log in sorted(folder.glob("training_log_*.txt"), key=lambda path: path.stat().st_mtime, reverse=True):
        found = SPLIT_IN_LOG.findall(log.read_text(encoding="utf-8", errors="replace"))
        if found:
            return int(found[-1][0]), int(found[-1][1])
    return None

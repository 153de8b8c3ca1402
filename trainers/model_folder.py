"""Files that nnU-Net's trainer writes in place: here they appear only when they are whole.

A killed job or a full disk would else leave half of ``plans.json`` beside the folds that are trained already, or half
of ``splits_final.json`` before those that are not.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import INCOMPLETE, write_json
from impulse_nnunet.nnunet.datasets import FOLDS, SPLITS, check_splits, default_splits, parse_splits

if TYPE_CHECKING:
    from impulse_nnunet.trainers.impulse import nnUNetTrainerImPulSe


@contextmanager
def whole_model_files(trainer: nnUNetTrainerImPulSe) -> Iterator[None]:
    """What the block writes into ``output_folder_base`` appears there after the block, each file whole."""
    base = trainer.output_folder_base
    folder = tempfile.mkdtemp(prefix=INCOMPLETE, dir=base)
    trainer.output_folder_base = folder
    try:
        yield
        if trainer.local_rank == 0:
            for file in Path(folder).iterdir():
                os.replace(file, Path(base, file.name))
    finally:
        trainer.output_folder_base = base
        shutil.rmtree(folder, ignore_errors=True)


def check_split(trainer: nnUNetTrainer) -> None:
    """Before nnU-Net reads a trainer's split: :func:`split_for`, where it has a fold.

    Raises:
        InputError: See there.
    """
    if trainer.dataset_class is None:
        trainer.dataset_class = infer_dataset_class(trainer.preprocessed_dataset_folder)
    if trainer.fold != "all":
        cases = trainer.dataset_class.get_identifiers(trainer.preprocessed_dataset_folder)
        split_for(Path(trainer.preprocessed_dataset_folder_base), cases)


def split_for(folder: Path, cases: Sequence[str]) -> None:
    """Check a data set's split before a training goes by it, and write nnU-Net's own if there is none.

    Args:
        folder: Preprocessed data set.
        cases: Its cases.

    Raises:
        InputError: There are too few cases, or the file that is there is wrong.
    """
    file = folder / SPLITS
    if file.is_file():
        check_splits(file, parse_splits(file), cases)
        return
    if len(cases) < FOLDS:
        raise InputError(
            str(folder),
            f"{len(cases)} training case(s)",
            f"{FOLDS} or more for {FOLDS} folds",
            f"train fold all, or write {SPLITS}",
        )
    write_json(default_splits(sorted(cases)), file)

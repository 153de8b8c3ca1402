"""Files that nnU-Net's trainer writes in place: here they appear only when they are whole.

A killed job or a full disk would else leave half of ``plans.json`` beside the folds that are trained already, or half
of ``splits_final.json`` before those that are not.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import INCOMPLETE, write_json
from impulse_nnunet.nnunet.datasets import FOLDS, default_splits

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


def write_default_split(file: Path, cases: Sequence[str]) -> None:
    """Write nnU-Net's own split if there is none.

    Raises:
        InputError: There are too few cases, or the file that is there is broken.
    """
    if file.is_file():
        try:
            json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(
                str(file), f"no valid JSON ({error})", "nnU-Net's splits", "correct or remove the file"
            ) from error
        return
    if len(cases) < FOLDS:
        raise InputError(
            str(file.parent),
            f"{len(cases)} training case(s)",
            f"{FOLDS} or more for {FOLDS} folds",
            f"train fold all, or write {file.name}",
        )
    write_json(default_splits(sorted(cases)), file)

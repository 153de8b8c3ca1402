"""A preprocessed folder in the making: it appears when it is complete, and a call after an interruption goes on."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import remove_leftovers, whole_file
from impulse_nnunet.jobs.case_records import CaseRecords
from impulse_nnunet.jobs.record import BEGUN, Inputs, Record

SETTINGS = "settings.json"
PARTS = ("_seg.b2nd", ".b2nd", ".pkl")


class FolderInProgress:
    """``FOLDER.incomplete`` beside the folder that it will become.

    Args:
        final: The preprocessed folder.
        settings: JSON of what decides its content; cases that were made with other settings are dropped.
    """

    def __init__(self, final: Path, settings: Mapping[str, Any]) -> None:
        self.final = final
        self.folder = final.with_name(f"{final.name}.incomplete")
        self.progress = self.folder / "progress"
        record, inputs = Record(self.progress / SETTINGS), Inputs(settings)
        if record.status(inputs).state != BEGUN:
            shutil.rmtree(self.folder, ignore_errors=True)
            record.begin(inputs)
        self._records = CaseRecords(self.progress / "cases", settings)
        remove_leftovers(self.folder, older_than_s=0)

    def has(self, case: str, sources: Sequence[Path]) -> bool:
        """Whether a case is there, made from these files as they are now."""
        return self._records.is_made(case, sources, self._files(case))

    def begin(self, case: str, sources: Sequence[Path]) -> None:
        """Note what a case is going to be made from; call before the files are read."""
        self._records.begin(case, sources, self._files(case))

    def save(self, case: str, volume: np.ndarray, segmentation: np.ndarray, properties: dict) -> None:
        """Store a case in nnU-Net's layout; it counts as done only when all its files are whole."""
        try:
            with whole_file(self.folder / f"{case}{PARTS[-1]}") as path:
                save_case(volume, segmentation, properties, path.with_suffix(""))
                for part in PARTS[:-1]:
                    path.with_name(f"{case}{part}").replace(self.folder / f"{case}{part}")
            self._records.finish(case, self._files(case))
        except InputError as error:
            raise InputError(
                case,
                error.found,
                f"room in {self.folder.parent}",
                "free disk space and preprocess again; what is done is kept",
            ) from error

    def finish(self) -> None:
        """Give the folder its name; one that was there before is replaced in one step."""
        shutil.rmtree(self.progress)
        old = self.final.with_name(f"{self.final.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if self.final.exists():
            self.final.rename(old)
        self.folder.rename(self.final)
        shutil.rmtree(old, ignore_errors=True)

    def _files(self, case: str) -> list[Path]:
        return [self.folder / f"{case}{part}" for part in PARTS]


def save_case(volume: np.ndarray, segmentation: np.ndarray, properties: dict, truncated: Path) -> None:
    """Store a case in nnU-Net's blosc2 layout; whole volumes are read at a time, so chunks are thick slabs."""
    chunks, blocks = _slabs(volume.shape, 64), _slabs(volume.shape, 8)
    chunks_seg, blocks_seg = _slabs(segmentation.shape, 64), _slabs(segmentation.shape, 8)
    nnUNetDatasetBlosc2.save_case(
        volume, segmentation, properties, str(truncated), chunks, blocks, chunks_seg, blocks_seg
    )


def _slabs(shape: tuple[int, ...], thickness: int) -> tuple[int, ...]:
    return 1, min(thickness, shape[1]), *shape[2:]

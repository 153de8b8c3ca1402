"""A preprocessed folder in the making: it appears when it is complete, and a call after an interruption goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import Stamps, remove_leftovers, whole_file, write_json

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
        self.notes = self.folder / "progress"
        if _read_json(self.notes / SETTINGS) != json.loads(json.dumps(settings)):
            shutil.rmtree(self.folder, ignore_errors=True)
            write_json(settings, self.notes / SETTINGS)
        remove_leftovers(self.folder, older_than_s=0)

    def has(self, case: str, stamps: Stamps) -> bool:
        """Whether a case is there, made from these files as they are now."""
        noted = _read_json(self.notes / f"{case}.json")
        files = [self.folder / f"{case}{part}" for part in PARTS]
        return noted == {name: list(stamp) for name, stamp in stamps.items()} and all(f.is_file() for f in files)

    def save(
        self, case: str, volume: np.ndarray, segmentation: np.ndarray, properties: dict, stamps: Stamps
    ) -> None:  # fmt: skip
        """Store a case in nnU-Net's layout; it counts as done only when all its files are whole."""
        try:
            with whole_file(self.folder / f"{case}{PARTS[-1]}") as path:
                save_case(volume, segmentation, properties, path.with_suffix(""))
                for part in PARTS[:-1]:
                    path.with_name(f"{case}{part}").replace(self.folder / f"{case}{part}")
            write_json(stamps, self.notes / f"{case}.json")
        except InputError as error:
            raise InputError(
                case, error.found, f"room in {self.folder.parent}",
                "free disk space and preprocess again; what is done is kept",
            ) from error  # fmt: skip

    def finish(self) -> None:
        """Give the folder its name; one that was there before gives way in one step."""
        shutil.rmtree(self.notes)
        old = self.final.with_name(f"{self.final.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if self.final.exists():
            self.final.rename(old)
        self.folder.rename(self.final)
        shutil.rmtree(old, ignore_errors=True)


def save_case(volume: np.ndarray, segmentation: np.ndarray, properties: dict, truncated: Path) -> None:
    """Store a case in nnU-Net's blosc2 layout; whole volumes are read at a time, so chunks are thick slabs."""
    chunks, blocks = _slabs(volume.shape, 64), _slabs(volume.shape, 8)
    chunks_seg, blocks_seg = _slabs(segmentation.shape, 64), _slabs(segmentation.shape, 8)
    nnUNetDatasetBlosc2.save_case(
        volume, segmentation, properties, str(truncated), chunks, blocks, chunks_seg, blocks_seg
    )


def _slabs(shape: tuple[int, ...], thickness: int) -> tuple[int, ...]:
    return 1, min(thickness, shape[1]), *shape[2:]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None

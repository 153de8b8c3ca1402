"""The raw data set that a command builds: claimed, filled case by case, described last."""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from impulse_nnunet import __version__
from impulse_nnunet.errors import InputError
from impulse_nnunet.io.built_inputs import RECORD
from impulse_nnunet.io.files import write_json
from impulse_nnunet.jobs.case_records import RECORDS, CaseRecords
from impulse_nnunet.nnunet.datasets import SPLITS, read_splits

OWN_FOLDERS = ("imagesTr", "labelsTr", "imagesTs", "labelsTs", "trees", "sampling")
PREDICTED = ("predicted_bav", "predicted_lobes")  # each says itself by which model
logger = logging.getLogger(__name__)


@dataclass
class OutputDataset:
    """A raw data set in the making.

    Args:
        folder: ``.../nnUNet_raw/DatasetXXX_Name``.
        settings: What decides its content, for the record.
        written: Files that belong to it.
    """

    folder: Path
    settings: Mapping[str, Any]
    written: set[Path] = field(default_factory=set)

    def records(self) -> CaseRecords:
        """Records of the cases that are done."""
        return CaseRecords(self.folder / RECORDS, dict(self.settings) | {"version": __version__})

    def claim(self, overwrite: bool) -> None:
        """Make the folder ours; files of a call with the same settings, and predictions, stay.

        Raises:
            InputError: It holds something else, or the finished result of other settings and no ``overwrite``.
        """
        found, complete = self._found()
        if overwrite or found != self.settings:
            if complete and not overwrite:
                keys = sorted(key for key in {*found, *self.settings} if found.get(key) != self.settings.get(key))
                raise InputError(
                    str(self.folder),
                    f"inputs of other settings ({', '.join(keys)})",
                    "a new folder or the same",
                    "choose another `dataset`, or give `overwrite`",
                )
            for name in (*OWN_FOLDERS, RECORDS, *(PREDICTED if overwrite else ())):
                shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / "dataset.json").unlink(missing_ok=True)  # whole again only at the end
        write_json({"complete": False, "settings": self.settings}, self.folder / RECORD)

    def finish(self, content: Mapping[str, Any], cases: Mapping[str, Mapping[str, str]]) -> None:
        """Remove files of cases that are no more, and describe the data set.

        Args:
            content: Content of dataset.json.
            cases: Case identifier -> what came from where.
        """
        for name in OWN_FOLDERS:
            for file in [path for path in (self.folder / name).rglob("*") if path.is_file()]:
                if file not in self.written:
                    file.unlink()
        for file in (self.folder / RECORDS).glob("*.json"):
            if file.stem not in cases:
                file.unlink()
        versions = {"impulse_nnunet": __version__, "nnunetv2": version("nnunetv2"), "python": platform.python_version()}
        record = {"complete": True, "settings": self.settings, "versions": versions, "cases": cases}
        write_json(content, self.folder / "dataset.json")
        write_json(record, self.folder / RECORD)

    def write_split(self, splits: Sequence[Mapping[str, Sequence[str]]], overwrite: bool) -> None:
        """Put a split where nnU-Net's training looks for it.

        Raises:
            InputError: Another split is there and ``overwrite`` is not given.
        """
        path = Path(os.environ["nnUNet_preprocessed"], self.folder.name, SPLITS)
        wanted = [{part: list(split[part]) for part in ("train", "val")} for split in splits]
        found = read_splits(self.folder.name)
        if found is not None and found != wanted and not overwrite:
            raise InputError(
                str(path),
                "another split",
                "none, or the one of the data that this is built from",
                "remove it, or give `overwrite`",
            )
        if found != wanted:
            write_json(wanted, path)

    def _found(self) -> tuple[dict[str, Any], bool]:
        """Settings of an earlier call here, and whether it came to its end."""
        if not self.folder.exists() or not any(self.folder.iterdir()):
            return {}, False
        try:
            record = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
            return dict(record["settings"]), bool(record["complete"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                str(self.folder), "files that this command did not write", "an empty folder", "choose another `dataset`"
            ) from error

"""The CT data set that inputs are built from: an nnU-Net raw data set with one channel."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dataset_json import channel_names
from impulse_nnunet.io.listing import list_cases
from impulse_nnunet.nnunet.datasets import training_files
from impulse_nnunet.nnunet.planning import dataset_name, read_raw_dataset_json


@dataclass(frozen=True, kw_only=True)
class LungCase:
    """A case of the CT data set.

    Args:
        name: Case identifier.
        image: The CT.
        labels: The segments; None for a test case that has none.
        is_test: It lies in imagesTs.
    """

    name: str
    image: Path
    labels: Path | None
    is_test: bool


@dataclass(frozen=True)
class LungDataset:
    """An nnU-Net raw data set of CTs.

    Args:
        folder: The raw data set.
        content: Content of its dataset.json.
        cases: Case identifier -> case, training cases first.
    """

    folder: Path
    content: Mapping[str, Any]
    cases: dict[str, LungCase]

    @property
    def ending(self) -> str:
        """Extension of the files, e.g. ``.nii.gz``."""
        return str(self.content["file_ending"])

    @property
    def training(self) -> list[str]:
        """Identifiers of the training cases."""
        return [name for name, case in self.cases.items() if not case.is_test]

    @property
    def labels(self) -> list[int]:
        """The numbers of the labels."""
        return sorted(int(value) for value in self.content["labels"].values())

    def tree_file(self, name: str, case: str) -> Path:
        """Where a case's ground-truth mask lies, e.g. ``airway``."""
        return self.folder / "trees" / name / f"{case}{self.ending}"


def read_lung_dataset(given: str) -> LungDataset:
    """Read a CT data set by ID, name or folder.

    Raises:
        InputError: There is none, it has several channels, or an identifier is in both of its parts.
    """
    folder = Path(given)
    if not (folder / "dataset.json").is_file():
        folder = Path(os.environ.get("nnUNet_raw", ""), dataset_name(given, ["nnUNet_raw"]))
    content = read_raw_dataset_json(folder)
    names = channel_names(content)
    if len(names) != 1:
        raise InputError(
            f"`ct` {given}",
            f"{len(names)} channels ({', '.join(names)})",
            "one, the CT",
            "give the data set of the CTs",
        )
    listed = training_files(folder, content)
    cases = {
        name: LungCase(name=name, image=Path(files["images"][0]), labels=Path(files["label"]), is_test=False)
        for name, files in listed.items()
    }
    if not cases:
        raise InputError(str(folder / "imagesTr"), "no case", "training images", "see nnU-Net's dataset format")
    twice = next((name for name in _test_cases(folder, content) if name in cases), None)
    if twice is not None:
        raise InputError(twice, "the case in imagesTr and in imagesTs", "it in one of them", "remove or rename one")
    return LungDataset(folder, content, cases | _test_cases(folder, content))


def _test_cases(folder: Path, content: Mapping[str, Any]) -> dict[str, LungCase]:
    images, ending = folder / "imagesTs", content["file_ending"]
    if not images.is_dir() or not any(images.iterdir()):
        return {}
    cases = {}
    for name, files in list_cases(images, ending).items():
        file = folder / "labelsTs" / f"{name}{ending}"
        labels = file if file.is_file() else None
        cases[name] = LungCase(name=name, image=Path(files[0]), labels=labels, is_test=True)
    return cases

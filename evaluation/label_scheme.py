"""The labels of a data set, read from nnU-Net's dataset.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.label_files import LARGEST_LABEL
from impulse_nnunet.evaluation.settings import LabelScheme

NAME = "dataset.json"
LOBES = "lobes"
LOBES_EXAMPLE = '"lobes": {"right upper lobe": [1, 2, 3], ...}, each label in one lobe'


def find_dataset_json(references: Path, predictions: Path) -> Path | None:
    """``dataset.json`` in the predictions' folder (nnU-Net puts it there), the references' or the one above."""
    places = (predictions, references, references.resolve().parent)
    return next((folder / NAME for folder in places if (folder / NAME).is_file()), None)


def read_dataset_json(path: Path) -> dict[str, Any]:
    """Read dataset.json.

    Raises:
        InputError: Missing, no JSON, or without labels.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(str(path), "no such file", "nnU-Net's dataset.json", "check -djfile") from error
    except (OSError, ValueError) as error:
        raise InputError(str(path), f"an unreadable file ({error})", "JSON", "correct the file") from error
    if not isinstance(content, dict) or not isinstance(content.get("labels"), dict):
        raise InputError(str(path), "no labels", '"labels": {"background": 0, "name": 1, ...}', "correct the file")
    return content


def label_scheme(dataset_json: Mapping[str, Any], path: Path) -> LabelScheme:
    """Labels, ignore label and lobes.

    ``"lobes": {"right upper lobe": [1, 2, 3], ...}`` is this project's own, optional key; members are labels or names.

    Raises:
        InputError: Labels that are no integers, or lobes of unknown labels.
        NotImplementedError: Region-based labels.
    """
    numbers: dict[str, int] = {}
    for name, label in dataset_json["labels"].items():
        if isinstance(label, list | tuple):
            raise NotImplementedError(f"{path}: region-based labels ({name}: {label}) are not supported")
        if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label <= LARGEST_LABEL:
            expected = f"integers from 0 to {LARGEST_LABEL}"
            raise InputError(str(path), f"label {name!r} = {label!r}", expected, "correct the file")
        numbers[name] = label
    ignore = numbers.pop("ignore", None)
    names = {label: name for name, label in sorted(numbers.items(), key=lambda item: item[1]) if label != 0}
    if not names:
        raise InputError(str(path), "no foreground label", "at least one", "correct the file")
    return LabelScheme(names, ignore, _lobes(dataset_json.get(LOBES, {}), numbers, path))


def scheme_of_labels(labels: Sequence[int]) -> LabelScheme:
    """Labels without names, for folders that have no dataset.json.

    Raises:
        InputError: A label that is none.
    """
    for label in labels:
        if not 1 <= label <= LARGEST_LABEL:
            raise InputError("--labels", str(label), f"labels from 1 to {LARGEST_LABEL}", "correct it")
    return LabelScheme({label: f"label {label}" for label in sorted(set(labels))})


def _lobes(lobes: Any, numbers: Mapping[str, int], path: Path) -> dict[str, tuple[int, ...]]:
    if not isinstance(lobes, dict) or not all(isinstance(members, list) and members for members in lobes.values()):
        raise InputError(str(path), f"lobes {lobes!r:.100}", LOBES_EXAMPLE, "correct the file")
    found = {lobe: tuple(_member(member, numbers, lobe, path) for member in members) for lobe, members in lobes.items()}
    labels = [label for members in found.values() for label in members]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise InputError(str(path), f"label {twice} twice", LOBES_EXAMPLE, "correct the file")
    return found


def _member(member: Any, numbers: Mapping[str, int], lobe: str, path: Path) -> int:
    label = numbers.get(member, -1) if isinstance(member, str) else member
    if label == 0 or label not in numbers.values():
        raise InputError(str(path), f"member {member!r} of lobe {lobe!r}", "a foreground label", "correct the file")
    return int(label)

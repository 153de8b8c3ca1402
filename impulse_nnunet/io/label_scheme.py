"""The labels of a data set, read from nnU-Net's dataset.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.label_maps import LARGEST_LABEL

LOBES = "lobes"
LOBES_EXAMPLE = '"lobes": {"right upper lobe": [1, 2, 3], ...}, each label in one lobe'


@dataclass(frozen=True)
class LabelScheme:
    """The labels of a data set.

    Args:
        names: Label -> name, foreground only, ascending.
        ignore_label: Voxels of the reference that carry it do not count.
        lobes: Name -> labels that make it up, for Dice of merged labels.
    """

    names: Mapping[int, str]
    ignore_label: int | None = None
    lobes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def labels(self) -> list[int]:
        """Foreground labels, ascending; class index i + 1 stands for ``labels[i]``."""
        return list(self.names)


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
            raise InputError("`labels`", str(label), f"labels from 1 to {LARGEST_LABEL}", "correct it")
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

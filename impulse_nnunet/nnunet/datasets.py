"""What nnU-Net knows of a data set: its training files and the split of its cases."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunetv2.utilities.crossval_split import generate_crossval_split
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.listing import CHANNEL_AT_END

SPLITS = "splits_final.json"
FOLDS, SPLIT_SEED = 5, 12345  # nnU-Net's
SPLITS_FORM = 'a list of splits, [{"train": ["CASE", ...], "val": ["CASE", ...]}, ...]'
PARTS = ("train", "val")
Split = dict[str, list[str]]


def training_files(folder: Path, dataset_json: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Case identifier -> its ``images``, one for each channel, and its ``label``."""
    return dict(get_filenames_of_train_images_and_targets(str(folder), dict(dataset_json)))


def read_splits(dataset: str) -> list[Split] | None:
    """nnU-Net's split of a data set, if there is one.

    Raises:
        InputError: The file does not hold a split.
    """
    base = os.environ.get("nnUNet_preprocessed")
    path = Path(base or "", dataset, SPLITS)
    if not base or not path.is_file():
        return None
    return parse_splits(path)


def parse_splits(path: Path) -> list[Split]:
    """Content of a file of splits, nnU-Net's or written by hand.

    Raises:
        InputError: Not JSON, or not a list of objects with lists of identifiers, train and val.
    """
    remedy = "correct it, or remove it and let nnU-Net write its own"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(str(path), f"no valid JSON ({error!s:.100})", SPLITS_FORM, remedy) from error
    if not isinstance(content, list) or not content:
        found = "an object" if isinstance(content, dict) else f"{content!r:.60}"
        raise InputError(str(path), found, SPLITS_FORM, remedy)
    for number, split in enumerate(content):
        for part in PARTS:
            entry = split.get(part) if isinstance(split, dict) else None
            if not isinstance(entry, list) or not all(isinstance(case, str) for case in entry):
                raise InputError(f"{path}, split {number}", f"no list {part!r}", SPLITS_FORM, remedy)
    return [{part: list(split[part]) for part in PARTS} for split in content]


def check_splits(path: Path, splits: Sequence[Split], cases: Sequence[str]) -> None:
    """Refuse splits that no training can go by.

    Args:
        path: Of the file, for messages.
        splits: Its content.
        cases: Identifiers of the preprocessed cases.

    Raises:
        InputError: A part is empty, or names a case that there is none of.
    """
    known = set(cases)
    for number, split in enumerate(splits):
        for part in PARTS:
            if not split[part]:
                remedy = "name some, or remove the file; fold all trains with every case"
                raise InputError(f"{path}, split {number}", f"no case in {part!r}", "one or more", remedy)
            unknown = [case for case in split[part] if case not in known]
            if unknown:
                meant = _meant(unknown[0], known)
                remedy = f"write {meant!r}" if meant else "correct the identifier, or preprocess the case"
                more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
                found = f"{unknown[0]!r} in {part!r}{more}"
                expected = "identifiers of preprocessed cases, without channel number and file ending"
                raise InputError(f"{path}, split {number}", found, expected, remedy)


def _meant(name: str, known: Container[str]) -> str | None:
    """The case whose image file is named in place of the case, if that is what it looks like."""
    stem = name.partition(".")[0]
    candidates = (stem, CHANNEL_AT_END.sub("", stem), CHANNEL_AT_END.sub("", name))
    return next((found for found in candidates if found in known), None)


def default_splits(cases: Sequence[str]) -> list[Split]:
    """The split that nnU-Net's training makes of at least five cases where there is none."""
    return list(generate_crossval_split(list(cases), seed=SPLIT_SEED, n_splits=FOLDS))

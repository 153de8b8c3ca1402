"""What nnU-Net knows of a data set: its training files and the split of its cases."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunetv2.utilities.crossval_split import generate_crossval_split
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from impulse_nnunet.errors import InputError

SPLITS = "splits_final.json"
FOLDS, SPLIT_SEED = 5, 12345  # nnU-Net's


def training_files(folder: Path, dataset_json: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Case identifier -> its ``images``, one for each channel, and its ``label``."""
    return dict(get_filenames_of_train_images_and_targets(str(folder), dict(dataset_json)))


def read_splits(dataset: str) -> list[dict[str, list[str]]] | None:
    """nnU-Net's split of a data set, if there is one.

    Raises:
        InputError: The file does not hold a split.
    """
    base = os.environ.get("nnUNet_preprocessed")
    path = Path(base or "", dataset, SPLITS)
    if not base or not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [{part: [str(case) for case in split[part]] for part in ("train", "val")} for split in content]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            str(path), "no valid split", "a list of train and val", "correct or remove the file"
        ) from error


def default_splits(cases: Sequence[str]) -> list[dict[str, list[str]]]:
    """The split that nnU-Net's training makes of at least five cases where there is none."""
    return list(generate_crossval_split(list(cases), seed=SPLIT_SEED, n_splits=FOLDS))

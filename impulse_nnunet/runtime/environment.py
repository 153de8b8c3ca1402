"""nnU-Net's environment variables: where the folders are and where the trainer is found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

FOLDERS = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
TRAINERS = "nnUNet_extTrainer"


def trainer_folder() -> Path:
    """The folder that ``nnUNet_extTrainer`` must name."""
    return Path(__file__).resolve().parents[1] / "external_trainers"


def with_our_folder(value: str | None) -> str:
    """An ``nnUNet_extTrainer`` value with our folder in it; folders that stand there stay, ours comes last."""
    ours = str(trainer_folder())
    others = [folder for folder in (value or "").split(os.pathsep) if folder.strip() and folder != ours]
    return os.pathsep.join([*others, ours])


def needed_variables(environment: Mapping[str, str], base: Path) -> dict[str, str]:
    """Variables to set: the trainer folder always, nnU-Net's folders under ``base`` where they are unset."""
    needed = {TRAINERS: with_our_folder(environment.get(TRAINERS))}
    for name in FOLDERS:
        if not environment.get(name):
            needed[name] = str(base / name)
    return needed


def ensure_variables() -> None:
    """Make this process and its children find the trainer; call before nnU-Net is imported."""
    os.environ[TRAINERS] = with_our_folder(os.environ.get(TRAINERS))

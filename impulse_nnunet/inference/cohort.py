"""The cases of a folder of images, by their names alone."""

from __future__ import annotations

import os
from pathlib import Path

from impulse_nnunet.errors import InputError


def list_cases(folder: Path, file_ending: str) -> dict[str, list[str]]:
    """Cases of a folder by nnU-Net's names: identifier -> channel files in order."""
    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", "a folder of images", "check -i")
    cases: dict[str, list[str]] = {}
    for name in sorted(os.listdir(folder)):  # names only: a cohort's folder may hold 100 000 files
        stem, channel = name[: -len(file_ending) - 5], name[-len(file_ending) - 5 : -len(file_ending)]
        if name.endswith(file_ending) and stem and channel[0] == "_" and channel[1:].isdigit():
            cases.setdefault(stem, []).append(os.path.join(folder, name))
    if not cases:
        raise InputError(
            str(folder), "no case", f"images named CASE_0000{file_ending}", "rename them as nnU-Net asks, or check -i"
        )
    return cases

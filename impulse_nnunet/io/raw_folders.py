"""Where new raw data sets go: ``nnUNet_raw/DatasetXXX_Name``."""

from __future__ import annotations

import os
from pathlib import Path

from impulse_nnunet.errors import InputError
from impulse_nnunet.runtime.environment import FOLDERS


def new_raw_folder(raw: str | None, number: int, title: str, setting: str = "dataset") -> Path:
    """The folder of a data set that a command is about to write; it need not exist.

    Args:
        raw: ``nnUNet_raw``.
        number: ID, 1 to 999.
        title: What follows it in the name.
        setting: Name of the argument that gives the ID, for messages.

    Raises:
        InputError: ``raw`` is empty, or the ID or title is bad, or nnU-Net knows the ID under another name.
    """
    if not raw:
        raise InputError("nnUNet_raw", "no value", "a folder", 'run: eval "$(impulse_nnunet env)"')
    if not 1 <= number <= 999:
        raise InputError(f"`{setting}`", str(number), "1 to 999", "choose another ID")
    if not title.isidentifier():
        raise InputError(f"name of data set {number}", repr(title), "letters, digits and _", "choose another name")
    folder = Path(raw) / f"Dataset{number:03d}_{title}"
    # nnU-Net looks an ID up in all three of its folders
    bases = [os.environ.get(name) for name in FOLDERS] if raw == os.environ.get(FOLDERS[0]) else [raw]
    for base in filter(None, bases):
        others = [path.name for path in sorted(Path(base).glob(f"Dataset{number:03d}_*")) if path.name != folder.name]
        if others:
            raise InputError(
                f"`{setting}`",
                f"data set {others[0]} in {base}",
                f"an ID that is free or {folder.name}",
                "choose another ID",
            )
    return folder

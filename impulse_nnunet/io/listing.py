"""The cases of a folder by the names of its files: images with channels, or label maps."""

from __future__ import annotations

import os
import re
from pathlib import Path

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.formats import LABEL_MAP_ENDINGS

CHANNEL = r"_(\d{4})"  # nnU-Net's CASE_0000.nii.gz
CHANNEL_AT_END = re.compile(rf"{CHANNEL}$")
CHANNEL_OF_FILE = re.compile(rf"{CHANNEL}\.[A-Za-z][A-Za-z.]*$")


def is_hidden(name: str) -> bool:
    """Whether a file is none of the user's: ``._NAME``, ``.DS_Store``, ``Thumbs.db``, ours on their way."""
    return name.startswith(".") or name == "Thumbs.db"


def channel_files(folder: str | os.PathLike[str], file_ending: str) -> dict[str, list[str]]:
    """Case identifier -> channel files in order, of all files with nnU-Net's names in a folder."""
    files: dict[str, list[str]] = {}
    pattern = re.compile(rf"(.*){CHANNEL}{re.escape(file_ending)}", re.DOTALL)
    for name in sorted(os.listdir(folder)):  # names only: a cohort's folder may hold 100 000 files
        match = None if is_hidden(name) else pattern.fullmatch(name)
        if match is not None:
            files.setdefault(match[1], []).append(os.path.join(folder, name))
    return files


def list_cases(folder: Path, file_ending: str) -> dict[str, list[str]]:
    """Cases of a folder of images: identifier -> channel files in order.

    Raises:
        InputError: No such folder, or no case in it.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", "a folder of images", "check `input_folder`")
    cases = {case: files for case, files in channel_files(folder, file_ending).items() if case}
    if not cases:
        raise InputError(
            str(folder),
            "no case",
            f"images named CASE_0000{file_ending}",
            "rename them as nnU-Net asks, or check `input_folder`",
        )
    return cases


def find_image(folder: Path, case: str) -> Path | None:
    """The image of a case in a folder, ``CASE_0000.*`` or else ``CASE.*``; None if there is neither."""
    names = (case + channel + ending for channel in ("_0000", "") for ending in LABEL_MAP_ENDINGS)
    return next((folder / name for name in names if (folder / name).is_file()), None)


def cases_in(folder: Path, ending: str | None = None) -> dict[str, Path]:
    """Case identifier -> file, for the label maps in a folder.

    Args:
        folder: Where they lie.
        ending: Extension of the files, e.g. ``.nii.gz``; None takes every ending of a label map.

    Raises:
        InputError: No such folder, or two files of one case.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", "a folder of label maps", "check the path")
    cases: dict[str, Path] = {}
    with os.scandir(folder) as entries:  # the listing tells files from folders: no look at each of 100 000 files
        names = sorted(entry.name for entry in entries if not is_hidden(entry.name) and entry.is_file())
    for name in names:
        found = next((e for e in ([ending] if ending else LABEL_MAP_ENDINGS) if name.endswith(e)), None)
        if found is None:
            continue
        path, case = folder / name, name[: -len(found)]
        if case in cases:
            raise InputError(
                str(path), f"a second file of case {case}, beside {cases[case].name}", "one", "remove one of them"
            )
        cases[case] = path
    return cases

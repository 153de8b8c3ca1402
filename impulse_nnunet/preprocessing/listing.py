"""nnU-Net's list of a folder's cases without its pool of twelve forked processes.

Forking a process that has threads can leave the children waiting for ever on a lock that no one holds any more; the
fault harness met this. The pool also compares every file with every case, which takes minutes for thousands of files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from nnunetv2.utilities import utils

CHANNEL = r"_\d{4}"


def lists_of_files(
    folder: str, file_ending: str, identifiers: Iterable[str] | None = None, num_processes: int = 0
) -> list[list[str]]:
    """Channel files of each case, in order; arguments as those of nnU-Net's function of the same use.

    Args:
        folder: Of the images.
        file_ending: Of the files.
        identifiers: Cases to list, in this order; all of the folder by default.
        num_processes: Unused.
    """
    files: dict[str, list[str]] = {}
    pattern = re.compile(rf"(.*){CHANNEL}{re.escape(file_ending)}", re.DOTALL)
    for name in sorted(os.listdir(folder)):
        match = pattern.fullmatch(name)
        if match is not None:
            files.setdefault(match[1], []).append(os.path.join(folder, name))
    if identifiers is None:
        identifiers = utils.get_identifiers_from_splitted_dataset_folder(folder, file_ending)
    return [files.get(str(identifier), []) for identifier in identifiers]


def list_without_processes() -> None:
    """Let all of nnU-Net's planning and preprocessing in this process list that way."""
    utils.create_lists_from_splitted_dataset_folder = lists_of_files

"""A folder of images that are going to be predicted: what is read, and what is not, said before a model is loaded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impulse_nnunet.io.dataset_json import channel_names
from impulse_nnunet.io.listing import list_cases
from impulse_nnunet.io.not_read import NotRead, incomplete, left_out_line, not_read

MOST_LINES = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class InputFolder:
    """The images of a folder.

    Args:
        folder: The folder.
        cases: Identifier -> channel files in order.
        not_read: What else lies there and looks like images.
    """

    folder: Path
    cases: dict[str, list[str]]
    not_read: list[NotRead]

    @property
    def left_out(self) -> dict[str, str]:
        """Name -> why, for ``prediction.json``."""
        return {one.name: one.why for one in self.not_read}

    @property
    def left_out_line(self) -> str:
        """One line on patients that are left out; empty if none is."""
        return left_out_line(self.folder, self.not_read)


def look_into(folder: Path, dataset_json: Mapping[str, Any]) -> InputFolder:
    """List a folder of images; each file that is not read, and each case that lacks channels, is a warning in the log.

    Args:
        folder: The images.
        dataset_json: Of the model, which names ending and channels.

    Raises:
        InputError: No such folder, or no case in it.
    """
    ending = dataset_json["file_ending"]
    found = not_read(folder, ending) if folder.is_dir() else []
    lines = [f"not read: {one}" for one in found]
    _log(folder, lines)
    cases = list_cases(folder, ending)
    lacking = incomplete(cases, len(channel_names(dataset_json)))
    _log(folder, [f"case {case} cannot be predicted: {what}" for case, what in lacking.items()])
    return InputFolder(folder=folder, cases=cases, not_read=found)


def _log(folder: Path, lines: list[str]) -> None:
    for line in lines[:MOST_LINES]:
        logger.warning("%s: %s", folder, line)
    if len(lines) > MOST_LINES:
        logger.warning("%s: and %d more", folder, len(lines) - MOST_LINES)

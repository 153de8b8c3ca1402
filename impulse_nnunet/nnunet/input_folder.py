"""A folder of images that are going to be predicted: what is read, and what is not, said before a model is loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import CasesFailedError
from impulse_nnunet.io.dataset_json import channel_names
from impulse_nnunet.io.input_cases import InputCases, find_input_cases, not_read_of
from impulse_nnunet.io.listing import list_cases
from impulse_nnunet.io.not_read import NotRead, incomplete, left_out_line, not_read
from impulse_nnunet.jobs.prediction_file import PredictionFile

MOST_LINES = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class InputFolder:
    """The images of a folder.

    Args:
        folder: The folder.
        inputs: Its cases.
        not_read: What else lies there and looks like images.
    """

    folder: Path
    inputs: InputCases
    not_read: list[NotRead]

    @property
    def left_out(self) -> dict[str, str]:
        """Name -> why, for ``prediction.json``."""
        return {one.name: one.why for one in self.not_read}

    @property
    def left_out_line(self) -> str:
        """One line on patients that are left out; empty if none is."""
        return left_out_line(self.folder, self.not_read)

    @contextmanager
    def files(
        self, chosen: Sequence[str], output: Path, ending: str, recorded: PredictionFile
    ) -> Iterator[dict[str, list[str]]]:
        """Case -> channel files, for some cases; see :meth:`~impulse_nnunet.io.input_cases.InputCases.files`.

        Args:
            chosen: Cases.
            output: Folder of the predictions.
            ending: Extension of images that are made of DICOM.
            recorded: Receives the cases of which no image could be made.

        Raises:
            CasesFailedError: At the block's end.
        """
        files: dict[str, list[str]] = {}
        try:
            with self.inputs.files(chosen, output, ending) as files:
                yield files
        except CasesFailedError as error:
            unreadable = {case: reason for case, reason in error.failures.items() if case not in files}
            for case, reason in unreadable.items():
                recorded.failed(case, reason)
            if unreadable:
                recorded.join()
            raise


def look_into(
    folder: Path, dataset_json: Mapping[str, Any], series: Sequence[str] = (), dicom: bool = True
) -> InputFolder:
    """List a folder of images; each file that is not read, and each case that lacks channels, is a warning in the log.

    Args:
        folder: The images.
        dataset_json: Content of the model's, which names extension and channels.
        series: DICOM series to take; see :func:`~impulse_nnunet.io.input_cases.find_input_cases`.
        dicom: Whether a folder of DICOM is read; else it is named as not read.

    Raises:
        InputError: No such folder, or no case in it.
    """
    ending, channels = dataset_json["file_ending"], channel_names(dataset_json)
    found = not_read_of(folder, ending) if dicom else not_read(folder, ending) if folder.is_dir() else []
    _log(folder, [f"not read: {one}" for one in found])
    inputs = find_input_cases(folder, ending, channels, series) if dicom else InputCases(list_cases(folder, ending))
    lacking = incomplete(inputs.images, len(channels))
    _log(folder, [f"case {case} cannot be predicted: {what}" for case, what in lacking.items()])
    return InputFolder(folder=folder, inputs=inputs, not_read=found)


def _log(folder: Path, lines: list[str]) -> None:
    for line in lines[:MOST_LINES]:
        logger.warning("%s: %s", folder, line)
    if len(lines) > MOST_LINES:
        logger.warning("%s: and %d more", folder, len(lines) - MOST_LINES)

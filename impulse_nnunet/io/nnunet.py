"""Where files meet nnU-Net: its reader classes, and its list of a folder's cases without twelve forked processes.

Forking a process that has threads can leave the children waiting for ever on a lock that no one holds any more; the
fault harness met this. The pool also compares every file with every case, which takes minutes for thousands of files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO, SimpleITKIOWithReorient
from nnunetv2.utilities import utils

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.listing import channel_files
from impulse_nnunet.io.nifti import read_plain_nifti

Reader: TypeAlias = BaseReaderWriter


def reader_for(dataset_json: Mapping[str, Any]) -> type[Reader]:
    """nnU-Net's reader for a data set; one that reorients, unless dataset.json names one or the format has none.

    Left and right are different labels, so a case stored in another orientation must be turned, not learned.
    """
    ending = dataset_json["file_ending"]
    try:
        chosen = determine_reader_writer_from_dataset_json(dataset_json, None, verbose=False)
    except RuntimeError as error:
        expected = "an ending that one of nnU-Net's readers knows"
        raise InputError("dataset.json", f"file_ending {ending!r}", expected, "convert the images") from error
    named = dataset_json.get("overwrite_image_reader_writer", "None")
    if named != "None" or chosen not in (SimpleITKIO, NibabelIO):
        return chosen
    nifti = ending.lower() in NibabelIOWithReorient.supported_file_endings
    return NibabelIOWithReorient if nifti else SimpleITKIOWithReorient


def read_array(reader: Reader, file: str) -> tuple[np.ndarray, dict[str, Any]]:
    """(1, d, h, w) float32 and the reader's properties; plain NIfTI files without its way through 64-bit floats."""
    plain = read_plain_nifti(file) if type(reader) is NibabelIOWithReorient else None
    return plain or reader.read_images((file,))


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
    files = channel_files(folder, file_ending)
    if identifiers is None:
        identifiers = utils.get_identifiers_from_splitted_dataset_folder(folder, file_ending)
    return [files.get(str(identifier), []) for identifier in identifiers]


def list_without_processes() -> None:
    """Let all of nnU-Net's planning and preprocessing in this process list that way."""
    utils.create_lists_from_splitted_dataset_folder = lists_of_files

"""Where files meet nnU-Net: its reader classes, and its list of a folder's cases without twelve forked processes.

Forking a process that has threads can leave the children waiting for ever on a lock that no one holds any more; the
fault harness met this. The pool also compares every file with every case, which takes minutes for thousands of files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import nibabel
import numpy as np
import SimpleITK as sitk
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.reader_writer_registry import (
    determine_reader_writer_from_dataset_json,
    recursive_find_reader_writer_by_name,
)
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO, SimpleITKIOWithReorient
from nnunetv2.imageio.tif_reader_writer import Tiff3DIO
from nnunetv2.utilities import utils

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.formats import is_nifti
from impulse_nnunet.io.listing import channel_files, is_hidden
from impulse_nnunet.io.nifti import as_stored, check_numbers, read_plain_nifti
from impulse_nnunet.io.nifti_place import image_on_geometry, read_place
from impulse_nnunet.io.text_headers import check_text_header

Reader: TypeAlias = BaseReaderWriter
TURNING: tuple[type[Reader], ...] = (NibabelIOWithReorient, SimpleITKIOWithReorient)
AS_STORED: tuple[type[Reader], ...] = (NibabelIO, SimpleITKIO, Tiff3DIO, NaturalImage2DIO)
GEOMETRY = "impulse_geometry"  # keys of a reader's properties
ASSUMED = "impulse_assumed_orientation"


def reader_for(dataset_json: Mapping[str, Any]) -> type[Reader]:
    """nnU-Net's reader for a data set; one that reorients, unless dataset.json names one or the format has none.

    Left and right are different labels, so a case stored in another orientation must be turned, not learned.
    """
    ending = dataset_json["file_ending"]
    named = dataset_json.get("overwrite_image_reader_writer", "None")
    if named != "None":
        _check_reader(named)
    try:
        chosen = determine_reader_writer_from_dataset_json(dataset_json, None, verbose=False)
    except RuntimeError as error:
        expected = "an ending that one of nnU-Net's readers knows"
        raise InputError("dataset.json", f"file_ending {ending!r}", expected, "convert the images") from error
    if named != "None" or chosen not in (SimpleITKIO, NibabelIO):
        return chosen
    nifti = ending.lower() in NibabelIOWithReorient.supported_file_endings
    return NibabelIOWithReorient if nifti else SimpleITKIOWithReorient


def _check_reader(named: Any) -> None:
    """Refuse a name that nnU-Net does not know; it would take another reader and say so in its log alone."""
    try:
        recursive_find_reader_writer_by_name(named)
    except (RuntimeError, TypeError) as error:
        known = ", ".join(reader.__name__ for reader in (*TURNING, *AS_STORED))
        remedy = "correct the name, or leave the entry out"
        raise InputError("dataset.json, overwrite_image_reader_writer", repr(named), known, remedy) from error


def turns_images(reader: type[Reader]) -> bool:
    """Whether a reader turns images to one orientation."""
    return reader in TURNING


def read_array(reader: Reader, file: str) -> tuple[np.ndarray, dict[str, Any]]:
    """(1, d, h, w) float32 and the reader's properties, the place judged (:mod:`impulse_nnunet.io.nifti_place`).

    Plain NIfTI files come without the reader's way through 64-bit floats; the values are the same. Affines and spacing
    are in mm. :data:`GEOMETRY` in the properties is the header's, :data:`ASSUMED` is true where both form codes are 0.

    Raises:
        InputError: The header is not clear about the image's place, or its voxels are no real numbers.
    """
    if not is_nifti(file):
        assumed = check_text_header(file)
        array, properties = reader.read_images((file,))
        return array, properties | {ASSUMED: assumed}
    check_numbers(file)
    plain = read_plain_nifti(file) if type(reader) is NibabelIOWithReorient else None
    array, properties = plain or reader.read_images((file,))
    place = read_place(file)
    if "nibabel_stuff" in properties:
        stuff = properties["nibabel_stuff"]
        turned = np.linalg.inv(stuff["original_affine"]) @ stuff.get("reoriented_affine", stuff["original_affine"])
        affines = {"original_affine": place.affine, "reoriented_affine": place.affine @ turned}
        spacing = [edge * place.mm_per_unit for edge in properties["spacing"]]
        if not np.allclose(stuff["original_affine"][:3, :3] * place.mm_per_unit, place.affine[:3, :3]):
            last = affines["reoriented_affine" if "reoriented_affine" in stuff else "original_affine"]
            spacing = np.linalg.norm(last[:3, :3], axis=0)[::-1].tolist()  # the reader went by the wrong form
        properties = {"nibabel_stuff": {name: affines[name] for name in stuff}, "spacing": spacing}
    return array, properties | {GEOMETRY: place.geometry, ASSUMED: place.assumed}


def write_segmentation(reader: Reader, labels: np.ndarray, path: Path, properties: Mapping[str, Any]) -> None:
    """Write labels (d, h, w) as the reader gives images; NIfTI with every field of the image's own place.

    Args:
        reader: nnU-Net's.
        labels: uint8 or uint16.
        path: The file.
        properties: Properties of the image.
    """
    geometry = properties.get(GEOMETRY)
    if type(reader) is SimpleITKIOWithReorient:
        _write_turned_back(labels, str(path), properties["sitk_stuff"])
        return
    if geometry is None or not is_nifti(path):
        reader.write_seg(labels, str(path), dict(properties))
        return
    labels = labels.astype(np.uint8 if labels.max(initial=0) < 255 else np.uint16, copy=False)
    turned = type(reader) is NibabelIOWithReorient
    stored = as_stored(labels, properties["nibabel_stuff"]["original_affine"]) if turned else labels.T
    nibabel.save(image_on_geometry(stored, geometry), path)


def _write_turned_back(labels: np.ndarray, file: str, stuff: Mapping[str, Any]) -> None:
    """As nnU-Net's reorienting ITK reader writes, which takes labels above 255 for small ones."""
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(stuff["spacing"])
    image.SetOrigin(stuff["origin"])
    image.SetDirection(stuff["direction"])
    sitk.WriteImage(sitk.DICOMOrient(image, stuff["original_orientation"]), file, True)


def lists_of_files(
    folder: str, file_ending: str, identifiers: Iterable[str] | None = None, num_processes: int = 0
) -> list[list[str]]:
    """Channel files of each case, in order; arguments as those of nnU-Net's function of the same use.

    Args:
        folder: Folder of the images.
        file_ending: File ending of the files.
        identifiers: Cases to list, in this order; all of the folder by default.
        num_processes: Unused.
    """
    files = channel_files(folder, file_ending)
    if identifiers is None:
        identifiers = identifiers_of_files(folder, file_ending)
    return [files.get(str(identifier), []) for identifier in identifiers]


def identifiers_of_files(folder: str, file_ending: str) -> list[str]:
    """Case identifiers of a folder of images as nnU-Net has them, without what operating systems leave there.

    A name without a channel's number makes an identifier without files, which is refused when the case is read.
    """
    crop = len(file_ending) + len("_0000")
    with os.scandir(folder) as entries:
        return sorted(
            {
                entry.name[:-crop]
                for entry in entries
                if entry.name.endswith(file_ending) and not is_hidden(entry.name) and entry.is_file()
            }
        )


def list_without_processes() -> None:
    """Let all of nnU-Net's planning and preprocessing in this process list that way."""
    utils.create_lists_from_splitted_dataset_folder = lists_of_files
    utils.get_identifiers_from_splitted_dataset_folder = identifiers_of_files

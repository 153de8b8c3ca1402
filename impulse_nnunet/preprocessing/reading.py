"""Reading cases through nnU-Net's readers, with every way in which a user's file can be wrong checked and named."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO, SimpleITKIOWithReorient

from impulse_nnunet.errors import InputError
from impulse_nnunet.preprocessing.nifti import read_plain_nifti
from impulse_nnunet.world import READING_ERRORS, largest_offset_mm, reader_to_world

CHANNEL = re.compile(r"_(\d{4})\.[A-Za-z][A-Za-z.]*$")  # nnU-Net's CASE_0000.nii.gz
SPACING_TOLERANCE = 1e-3  # relative


def reader_for(dataset_json: Mapping[str, Any]) -> type[BaseReaderWriter]:
    """nnU-Net's reader for a data set; one that reorients, unless dataset.json names one or the format has none.

    Left and right are different labels, so a case stored in another orientation must be turned, not learned.
    """
    ending = dataset_json["file_ending"]
    try:
        chosen = determine_reader_writer_from_dataset_json(dataset_json, None, verbose=False)
    except RuntimeError as error:
        raise InputError(
            "dataset.json",
            f"file_ending {ending!r}",
            "an ending that one of nnU-Net's readers knows",
            "convert the images",
        ) from error
    named = dataset_json.get("overwrite_image_reader_writer", "None")
    if named != "None" or chosen not in (SimpleITKIO, NibabelIO):
        return chosen
    nifti = ending.lower() in NibabelIOWithReorient.supported_file_endings
    return NibabelIOWithReorient if nifti else SimpleITKIOWithReorient


@dataclass(frozen=True)
class RawCase:
    """One case as the reader gives it.

    Args:
        images: (channel, d, h, w) float32.
        segmentation: (1, d, h, w) or None.
        properties: The reader's own, with ``spacing`` in mm, (d, h, w) order.
    """

    images: np.ndarray
    segmentation: np.ndarray | None
    properties: dict[str, Any]


def read_case(
    reader: BaseReaderWriter,
    case: str,
    image_files: Sequence[str],
    number_of_channels: int,
    segmentation_file: str | None = None,
    allowed_labels: Sequence[int] = (),
    ignore_label: int | None = None,
) -> RawCase:
    """Read one case and check it.

    Args:
        reader: nnU-Net reader.
        case: Case identifier, for messages.
        image_files: One file for each channel, in order.
        number_of_channels: Channels that dataset.json names.
        segmentation_file: Label map, for training cases.
        allowed_labels: Labels of dataset.json, the ignore label included.
        ignore_label: Of dataset.json; no foreground.

    Raises:
        InputError: Naming the case or file, what was found, what was expected and what to do.
    """
    if len(image_files) != number_of_channels:
        present = ", ".join(Path(f).name for f in image_files) or "no file"
        raise InputError(
            case, f"{len(image_files)} channel(s) ({present})", f"{number_of_channels} as dataset.json names",
            "add the missing file or leave the case out",
        )  # fmt: skip
    numbers = [int(match[1]) for match in map(CHANNEL.search, image_files) if match]
    if len(numbers) == number_of_channels and numbers != list(range(number_of_channels)):
        raise InputError(
            case, f"channels {', '.join(f'{n:04d}' for n in numbers)}", f"0000 to {number_of_channels - 1:04d}",
            "add the missing file or leave the case out",
        )  # fmt: skip
    volumes: list[np.ndarray] = []
    properties: dict[str, Any] | None = None
    for file in image_files:
        volume, found = _read(reader, file)
        if properties is None:
            properties = found
        _check_same_grid(file, volume.shape[1:], found, Path(image_files[0]).name, volumes, properties)
        _check_values(file, volume)
        volumes.append(volume)
    images = np.concatenate(volumes).astype(np.float32, copy=False)
    check_image(case, images, number_of_channels)
    segmentation = None
    if segmentation_file is not None:
        segmentation, found = _read(reader, segmentation_file)
        _check_same_grid(segmentation_file, segmentation.shape[1:], found, "its image", volumes, properties or {})
        _check_labels(case, segmentation_file, segmentation, allowed_labels, ignore_label)
    return RawCase(images, segmentation, properties or {})


def read_trees(reader: BaseReaderWriter, files: Sequence[str], case: RawCase) -> np.ndarray:
    """Read masks that are no channels of a case and join them.

    Args:
        reader: nnU-Net reader.
        files: Label maps; what is not 0 counts.
        case: The case, for the grid.

    Returns:
        (d, h, w) bool.

    Raises:
        InputError: A file is missing, unreadable, not finite or on another grid.
    """
    joined = np.zeros(case.images.shape[1:], bool)
    for file in files:
        volume, found = _read(reader, file)
        _check_same_grid(file, volume.shape[1:], found, "the case's image", [case.images], case.properties)
        _check_values(file, volume)
        joined |= volume[0] > 0
    return joined


def check_image(case: str, images: np.ndarray, number_of_channels: int) -> None:
    """Refuse an array that is no (channel, d, h, w) volume with finite values and content."""
    if images.ndim != 4 or len(images) != number_of_channels:
        raise InputError(case, f"an array of shape {images.shape}", f"({number_of_channels}, d, h, w)", "reshape it")
    _check_values(case, images)
    _check_is_3d(case, images.shape[1:])
    if not images.any():
        raise InputError(case, "an image that is zero everywhere", "an image with content", "leave the case out")


def _read(reader: BaseReaderWriter, file: str) -> tuple[np.ndarray, dict[str, Any]]:
    if not Path(file).is_file():
        raise InputError(file, "no such file", "an image", "add the file or leave the case out")
    try:
        quick = read_plain_nifti(file) if type(reader) is NibabelIOWithReorient else None
        volume, properties = quick or reader.read_images((file,))
    except READING_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            file, f"an unreadable file ({reason[:160]})", f"a whole 3D image that {type(reader).__name__} reads",
            "replace the file or leave the case out",
        ) from error  # fmt: skip
    spacing = np.asarray(properties["spacing"], np.float64)
    if not (np.all(np.isfinite(spacing)) and np.all(spacing > 0)):
        raise InputError(file, f"spacing {_rounded(spacing)} mm", "three positive numbers", "mend the header")
    return volume, properties


def _check_same_grid(
    file: str,
    shape: Sequence[int],
    properties: dict[str, Any],
    reference_name: str,
    references: list[np.ndarray],
    reference_properties: dict[str, Any],
) -> None:
    if not references:
        return
    expected = references[0].shape[1:]
    if tuple(shape) != tuple(expected):
        raise InputError(
            file,
            f"shape {tuple(shape)}",
            f"{tuple(expected)} as in {reference_name}",
            "resample it to the image's grid",
        )
    spacing, wanted = properties["spacing"], reference_properties["spacing"]
    if not np.allclose(spacing, wanted, rtol=SPACING_TOLERANCE):
        raise InputError(
            file, f"spacing {_rounded(spacing)} mm", f"{_rounded(wanted)} mm as in {reference_name}",
            "mend the header or resample it to the image's grid",
        )  # fmt: skip
    world, wanted_world = reader_to_world(properties), reader_to_world(reference_properties)
    if world is None or wanted_world is None:
        return
    offset = largest_offset_mm(world, wanted_world, expected)
    if offset > max(wanted):
        raise InputError(
            file, f"a place or orientation in the world up to {offset:.1f} mm off", f"that of {reference_name}",
            "mend the header or resample it to the image's grid",
        )  # fmt: skip


def _check_values(file: str, volume: np.ndarray) -> None:
    bad = int(volume.size - np.count_nonzero(np.isfinite(volume)))
    if bad:
        raise InputError(file, f"{bad} NaN or infinite voxel(s)", "finite values", "repair the image or leave it out")


def _check_is_3d(case: str, shape: Sequence[int]) -> None:
    if min(shape) < 2:
        raise InputError(case, f"an image of shape {tuple(shape)}", "at least 2 voxels along each of 3 axes",
                         "this network needs volumes; use nnU-Net's 2d configuration")  # fmt: skip


def _check_labels(
    case: str, file: str, segmentation: np.ndarray, allowed: Sequence[int], ignore_label: int | None
) -> None:
    labels = np.unique(segmentation)
    unknown = [v for v in labels.tolist() if v not in allowed]
    if unknown:
        raise InputError(
            file, f"label(s) {', '.join(f'{v:g}' for v in unknown[:5])}",
            f"those of dataset.json ({', '.join(str(v) for v in sorted(allowed))})",
            "correct the label map or add the label to dataset.json",
        )  # fmt: skip
    if not np.any((labels > 0) & (labels != ignore_label)):
        raise InputError(case, "no foreground in its segmentation", "at least one labelled voxel",
                         "label the case or leave it out")  # fmt: skip


def _rounded(spacing: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(s), 4) for s in spacing)

"""Cases read through nnU-Net's readers, with every way in which a user's file can be wrong checked and named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.formats import READING_ERRORS, unreadable
from impulse_nnunet.io.grid import FileGrid, check_right_angles, reader_grid
from impulse_nnunet.io.label_maps import as_labels, count_values
from impulse_nnunet.io.listing import CHANNEL_OF_FILE
from impulse_nnunet.io.nnunet import ASSUMED, Reader, read_array
from impulse_nnunet.io.same_grid import check_same_grid, check_same_spacing
from impulse_nnunet.io.upright import OWN, upright_grid


@dataclass(frozen=True)
class RawCase:
    """One case as the reader gives it; oblique images sampled upright (:mod:`impulse_nnunet.io.upright`).

    Args:
        images: (channel, d, h, w) float32.
        segmentation: (1, d, h, w) or None.
        properties: The reader's own, with ``spacing`` in mm, (d, h, w) order.
    """

    images: np.ndarray
    segmentation: np.ndarray | None
    properties: dict[str, Any]

    @property
    def assumed_orientation(self) -> bool:
        """Whether the file says nothing of its orientation and the user lets it be assumed."""
        return bool(self.properties.get(ASSUMED))


@dataclass(frozen=True)
class _Volume:
    """What the reader made of one file: (1, d, h, w), and the reader's properties."""

    array: np.ndarray
    properties: dict[str, Any]

    @property
    def grid(self) -> FileGrid:
        return reader_grid(self.array.shape[1:], self.properties)


def read_case(
    reader: Reader,
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
        ignore_label: Ignore label of dataset.json; no foreground.

    Raises:
        InputError: Naming the case or file, what was found, what was expected and what to do.
    """
    _check_channels(case, image_files, number_of_channels)
    first = _read(reader, image_files[0])
    volumes = [first.array]
    for file in image_files[1:]:
        volumes.append(_read_beside(first, reader, file, Path(image_files[0]).name).array)
    for file, volume in zip(image_files, volumes, strict=True):
        _check_values(file, volume)
    images = (np.concatenate(volumes) if len(volumes) > 1 else first.array).astype(np.float32, copy=False)
    check_image(case, images, number_of_channels)
    segmentation = None
    if segmentation_file is not None:
        found = _read_beside(first, reader, segmentation_file, "its image").array
        segmentation = _labels(case, segmentation_file, found, allowed_labels, ignore_label)
    return _upright(RawCase(images, segmentation, first.properties))


def read_masks(reader: Reader, files: Sequence[str], case: RawCase) -> np.ndarray:
    """Read masks that are not channels of a case and join them.

    Args:
        reader: nnU-Net reader.
        files: Label maps; what is not 0 counts.
        case: The case, for the grid.

    Returns:
        (d, h, w) bool.

    Raises:
        InputError: A file is missing, unreadable, not finite or on another grid.
    """
    own = case.properties.get(OWN)
    shape, properties = (own["shape"], own["properties"]) if own else (case.images.shape[1:], case.properties)
    joined = np.zeros(shape, bool)
    first = _Volume(np.broadcast_to(np.float32(0), (1, *shape)), properties)
    for file in files:
        volume = _read_beside(first, reader, file, "the case's image").array
        _check_values(file, volume)
        joined |= volume[0] > 0
    grid = upright_grid(shape, properties) if own else None
    return joined if grid is None else grid.sample(joined.view(np.uint8), 0, order=0).view(bool)


def _upright(case: RawCase) -> RawCase:
    shape = case.images.shape[1:]
    grid = upright_grid(shape, case.properties)
    if grid is None:
        return case
    labels = case.segmentation if case.segmentation is None else grid.sample(case.segmentation[0], 0, order=0)[None]
    return RawCase(grid.sample_image(case.images), labels, grid.properties(case.properties, shape))


def check_image(case: str, images: np.ndarray, number_of_channels: int) -> None:
    """Refuse an array that is not a (channel, d, h, w) volume with finite values and content."""
    if images.ndim != 4 or len(images) != number_of_channels:
        raise InputError(case, f"an array of shape {images.shape}", f"({number_of_channels}, d, h, w)", "reshape it")
    _check_values(case, images)
    if min(images.shape[1:]) < 2:
        raise InputError(
            case,
            f"an image of shape {images.shape[1:]}",
            "at least 2 voxels along each of 3 axes",
            "this network needs volumes; use nnU-Net's 2d configuration",
        )
    if not images.any():
        raise InputError(case, "an image that is zero everywhere", "an image with content", "leave the case out")


def _check_channels(case: str, image_files: Sequence[str], number_of_channels: int) -> None:
    remedy = "add the missing file or leave the case out"
    if len(image_files) != number_of_channels:
        present = ", ".join(Path(f).name for f in image_files) or "no file"
        found = f"{len(image_files)} channel(s) ({present})"
        raise InputError(case, found, f"{number_of_channels} as dataset.json names", remedy)
    numbers = [int(match[1]) for match in map(CHANNEL_OF_FILE.search, image_files) if match]
    if len(numbers) == number_of_channels and numbers != list(range(number_of_channels)):
        found = f"channels {', '.join(f'{n:04d}' for n in numbers)}"
        raise InputError(case, found, f"0000 to {number_of_channels - 1:04d}", remedy)


def _read(reader: Reader, file: str) -> _Volume:
    if not Path(file).is_file():
        raise InputError(file, "no such file", "an image", "add the file or leave the case out")
    try:
        array, properties = read_array(reader, file)
    except InputError:
        raise
    except READING_ERRORS as error:
        raise unreadable(file, error, f"a whole 3D image that {type(reader).__name__} reads") from error
    spacing = np.asarray(properties["spacing"], np.float64)
    if not (np.all(np.isfinite(spacing)) and np.all(spacing > 0)):
        found = f"spacing {tuple(round(float(s), 4) for s in spacing)} mm"
        raise InputError(file, found, "three positive numbers", "correct the header")
    volume = _Volume(array, properties)
    if len(array.shape) == 4:
        check_right_angles(volume.grid, file)
    return volume


def _read_beside(first: _Volume, reader: Reader, file: str, name_of_first: str) -> _Volume:
    """Read a file that must lie on the grid of the case's first image."""
    volume = _read(reader, file)
    if volume.array.shape[1:] == first.array.shape[1:]:  # the spacing by the reader, which plans go by, and the place
        check_same_spacing(volume.properties["spacing"], first.properties["spacing"], file, name_of_first)
    check_same_grid(volume.grid, first.grid, file, name_of_first)
    return volume


def _check_values(file: str, volume: np.ndarray) -> None:
    bad = int(volume.size - np.count_nonzero(np.isfinite(volume)))
    if bad:
        raise InputError(file, f"{bad} NaN or infinite voxel(s)", "finite values", "repair the image or leave it out")


def _labels(
    case: str, file: str, segmentation: np.ndarray, allowed: Sequence[int], ignore_label: int | None
) -> np.ndarray:
    """The labels of a (1, d, h, w) array, rounded where a scaling left them beside the integers, in its type."""
    rounded = as_labels(segmentation[0], file)
    labels = np.flatnonzero(count_values(rounded)).tolist()
    unknown = [label for label in labels if label not in allowed]
    if unknown:
        raise InputError(
            file,
            f"label(s) {', '.join(str(label) for label in unknown[:5])}",
            f"those of dataset.json ({', '.join(str(label) for label in sorted(allowed))})",
            "correct the label map or add the label to dataset.json",
        )
    if not any(label > 0 and label != ignore_label for label in labels):
        expected = "at least one labelled voxel"
        raise InputError(case, "no foreground in its segmentation", expected, "label the case or leave it out")
    if not segmentation.flags.writeable:
        return rounded[None].astype(segmentation.dtype)
    segmentation[0] = rounded  # no second volume of floats
    return segmentation

"""The voxels of a series: each slice by its own slope and intercept, padding as air."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dicom.geometry import COPY, in_order
from impulse_nnunet.io.dicom.headers import Header, quiet
from impulse_nnunet.io.dicom.series import Series
from impulse_nnunet.io.grid import FileGrid

AIR_HU = -1024
LARGEST_HU = 3071  # of 12 bits; what lies beyond on either side is not tissue
SIXTEEN_BITS = 1 << 16
OTHER = "choose another by `series`"
INT16 = np.iinfo(np.int16)
logger = logging.getLogger(__name__)


def read_volume(series: Series) -> tuple[np.ndarray, FileGrid]:
    """Read a series.

    Returns:
        (d, h, w) int16, or float32 where a slice has fractions or larger numbers; in Hounsfield units for CT. Padding
        outside the scanner's field is -1024 HU. And the grid.

    Raises:
        InputError: Slices that cannot be read, make no regular grid, or are no plain grey values.
    """
    headers, grid = in_order(series)
    for header in headers:
        _check_values(series, header)
    volume = np.empty(grid.shape, np.int16)
    air = series.modality == "CT" and _takes_padding_as_air(series, headers)
    for index, header in enumerate(headers):
        voxels = _read_slice(series, header, grid)
        padding = _padding(header) if air else None
        if padding is not None:
            voxels = np.where((voxels >= padding[0]) & (voxels <= padding[1]), AIR_HU, voxels)
        if volume.dtype == np.int16 and not _fits(voxels):
            volume = volume.astype(np.float32)
        volume[index] = voxels
    if any(header.text("lossy") == "01" for header in headers):
        logger.warning("%s: compressed with loss; its values are not those that were measured", series.name)
    return volume, grid


def _check_values(series: Series, header: Header) -> None:
    photometric, unit = header.text("photometric"), header.text("unit")
    if header.number("samples", 1) != 1 or photometric not in ("MONOCHROME2", ""):
        raise InputError(series.name, f"{photometric} pixels", "MONOCHROME2", OTHER)
    if series.modality != "CT":
        return
    slope, intercept = header.numbers("slope"), header.numbers("intercept")
    if len(slope) != 1 or len(intercept) != 1 or slope[0] == 0:
        raise InputError(series.name, "a slice without rescale slope and intercept", "Hounsfield units", OTHER)
    if unit not in ("HU", "US", ""):
        raise InputError(series.name, f"values in {unit:.16}", "Hounsfield units", OTHER)


def _read_slice(series: Series, header: Header, grid: FileGrid) -> np.ndarray:
    """(h, w), rescaled by GDCM with this file's slope and intercept."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(header.file))
    problem = InputError(series.name, "a slice whose pixels cannot be read", "pixels that GDCM decompresses", COPY)
    try:
        with quiet():
            voxels = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError:
        raise problem from None  # the reason quotes the file's name, which may be a patient's
    if voxels.size != np.prod(grid.shape[1:]):
        raise problem
    return np.asarray(voxels).reshape(grid.shape[1:])


def _takes_padding_as_air(series: Series, headers: Sequence[Header]) -> bool:
    """Whether no slice's padding is a value that tissue has; padding and tissue cannot be told apart then."""
    paddings = [padding for padding in map(_padding, headers) if padding is not None]
    if all(padding[1] <= AIR_HU + 1 or padding[0] > LARGEST_HU for padding in paddings):
        return True
    logger.warning("%s: its padding has a value that tissue has, and was left as it is", series.name)
    return False


def _padding(header: Header) -> tuple[float, float] | None:
    """Lowest and highest value of padding after rescaling, with half a stored number on either side."""
    limits = [*header.numbers("padding")[:1], *header.numbers("padding_limit")[:1]]
    if not header.numbers("padding"):
        return None
    if header.number("signed") == 1:
        limits = [limit - SIXTEEN_BITS if limit >= SIXTEEN_BITS / 2 else limit for limit in limits]
    slope, intercept = header.number("slope", 1.0), header.number("intercept")
    values = [slope * limit + intercept for limit in limits]
    return min(values) - abs(slope) / 2, max(values) + abs(slope) / 2


def _fits(voxels: np.ndarray) -> bool:
    """Whether all values are whole numbers of 16 bits."""
    if voxels.min() < INT16.min or voxels.max() > INT16.max:
        return False
    return voxels.dtype.kind in "iu" or bool(np.all(voxels == np.rint(voxels)))

"""Grey images beside label maps, in the file's own orientation, as :mod:`~impulse_nnunet.io.label_maps` reads those."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.formats import READING_ERRORS, is_nifti, unreadable
from impulse_nnunet.io.grid import FileGrid, read_file_grid


@dataclass(frozen=True)
class GreyImage:
    """An image from a file.

    Args:
        values: (d, h, w), scaled as the file says; of the file's own type where it says nothing.
        grid: Its place in the world.
        path: Where it came from.
    """

    values: np.ndarray
    grid: FileGrid
    path: Path


def read_grey_image(path: Path) -> GreyImage:
    """Read an image of one channel.

    Raises:
        InputError: A missing or unreadable file, not 3D, or voxels that are NaN, infinite or no numbers at all.
    """
    if not path.is_file():
        raise InputError(str(path), "no such file", "an image", "add the file or leave the case out")
    try:
        grid = read_file_grid(path)
        if is_nifti(path):
            values = np.asanyarray(nibabel.load(path).dataobj).T  # type: ignore[attr-defined]
        else:
            values = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except InputError:
        raise
    except READING_ERRORS as error:
        raise unreadable(path, error, "a whole 3D image") from error
    if values.ndim != 3:
        raise InputError(str(path), f"{values.ndim} dimensions", "a 3D image of one channel", "convert the file")
    if values.dtype.kind not in "buif":
        raise InputError(str(path), f"voxels of type {values.dtype}", "numbers", "convert the file")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(str(path), "NaN or infinite voxels", "finite values", "repair the image or leave it out")
    return GreyImage(values, grid, path)

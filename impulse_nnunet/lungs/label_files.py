"""Reading and writing label maps without losing their grid."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from impulse_nnunet.errors import InputError
from impulse_nnunet.files import whole_file
from impulse_nnunet.world import NIFTI, READING_ERRORS, FileGrid, largest_offset_mm, read_file_grid

LARGEST_LABEL = 32767


def read_label_map(path: Path) -> np.ndarray:
    """Read a label map as it is stored: (d, h, w) int16; h runs along the file's second axis, w along its first.

    Raises:
        InputError: The file is missing, unreadable, not 3D, or holds other values than whole numbers of 0 or more.
    """
    if not path.is_file():
        raise InputError(str(path), "no such file", "a label map", "add the file or leave the case out")
    try:
        if _is_nifti(path):
            array = np.asanyarray(nibabel.Nifti1Image.from_filename(path).dataobj).T
        else:
            array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except READING_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            str(path), f"an unreadable file ({reason[:160]})", "a label map", "replace the file or leave the case out"
        ) from error
    return as_label_map(array, str(path))


def as_label_map(array: np.ndarray, where: str) -> np.ndarray:
    """Check values and dimensions of a label map and make it int16.

    Raises:
        InputError: It is not 3D, or holds other values than whole numbers of 0 or more.
    """
    if array.ndim != 3:
        raise InputError(where, f"{array.ndim} dimensions", "a 3D label map", "convert the file")
    if array.dtype.kind not in "biuf":
        raise InputError(where, f"values of type {array.dtype}", "numbers", "convert the file")
    if array.size and not (np.all(np.isfinite(array)) and array.min() >= 0 and array.max() <= LARGEST_LABEL):
        raise InputError(where, "negative, huge or undefined values", "labels of 0 or more", "mend the label map")
    labels = array.astype(np.int16)
    if array.dtype.kind == "f" and not np.array_equal(labels, array):
        raise InputError(where, "values between whole numbers", "labels", "resample label maps by nearest neighbour")
    return labels


def count_values(labels: np.ndarray, length: int) -> np.ndarray:
    """Voxels of each value from 0 on, at least ``length`` numbers; slice by slice, since NumPy counts in int64."""
    length = max(length, int(labels.max(initial=0)) + 1)
    counts = np.zeros(length, np.int64)
    for part in labels:
        counts += np.bincount(part.reshape(-1), minlength=length)
    return counts


def write_label_map(array: np.ndarray, like: Path, path: Path) -> None:
    """Write a (d, h, w) array, uint8, on the grid of another file; the file appears only when it is whole."""
    with whole_file(path) as temporary:
        if _is_nifti(path) and _is_nifti(like):
            affine = nibabel.Nifti1Image.from_filename(like).affine
            image = nibabel.Nifti1Image(np.ascontiguousarray(array.astype(np.uint8).T), affine)
            image.header.set_xyzt_units("mm")
            nibabel.save(image, temporary)
        else:
            write_on_file_grid(array, read_file_grid(like), temporary)


def write_on_file_grid(array: np.ndarray, grid: FileGrid, path: Path) -> None:
    """Write a (d, h, w) array as uint8 with a geometry."""
    image = sitk.GetImageFromArray(array.astype(np.uint8))
    grid.put_on(image)
    sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=1)


def check_same_grid(path: Path, reference: Path) -> None:
    """Refuse a file whose grid is not that of another file.

    Raises:
        InputError: With both geometries.
    """
    found, wanted = read_file_grid(path), read_file_grid(reference)
    same = found.size == wanted.size
    # half a voxel: rounded headers pass, a shift by one voxel does not
    limit = float(wanted.spacing_mm.min()) / 2
    if same:
        same = largest_offset_mm(found.to_world, wanted.to_world, wanted.size[::-1]) <= limit
    if not same:
        raise InputError(
            str(path), geometry_text(found), f"that of {reference}: {geometry_text(wanted)}",
            "resample it to that grid by nearest neighbour, or mend the header",
        )  # fmt: skip


def geometry_text(grid: FileGrid) -> str:
    """Size, spacing, origin and direction in a few words."""
    size = " x ".join(str(n) for n in grid.size)
    numbers = [" ".join(f"{v:.4g}" for v in np.ravel(part)) for part in (grid.spacing_mm, grid.origin, grid.direction)]
    return f"{size} voxels, {numbers[0]} mm, origin {numbers[1]}, direction {numbers[2]}"


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(NIFTI)

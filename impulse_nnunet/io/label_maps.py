"""Label maps: read from files and checked (whole, three-dimensional, integer labels), and written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import whole_file
from impulse_nnunet.io.formats import READING_ERRORS, is_nifti, unreadable
from impulse_nnunet.io.grid import FileGrid, read_file_grid

LARGEST_LABEL = 65535
FAST = 1  # compression level of ITK; label maps shrink well at any


@dataclass(frozen=True)
class LabelMap:
    """A label map from a file.

    Args:
        labels: (d, h, w) uint8 or uint16, C-contiguous; h runs along the file's second axis, w along its first.
        grid: Its place in the world.
        path: Where it came from.
    """

    labels: np.ndarray
    grid: FileGrid
    path: Path

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """(d, h, w)."""
        x, y, z = self.grid.spacing_mm.tolist()
        return z, y, x


def read_label_map(path: Path) -> LabelMap:
    """Read a label map.

    Raises:
        InputError: A missing or unreadable file, not 3D, or values that are not labels.
    """
    if not path.is_file():
        raise InputError(str(path), "no such file", "a label map", "add the file or leave the case out")
    try:
        grid = read_file_grid(path)
        if is_nifti(path):
            voxels = nibabel.load(path).dataobj  # type: ignore[attr-defined]
            array = np.asanyarray(voxels).T  # (x, y, z) in Fortran order
        else:
            array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except InputError:
        raise
    except READING_ERRORS as error:
        raise unreadable(path, error, "a whole 3D label map") from error
    return LabelMap(as_labels(array, str(path)), grid, path)


def as_labels(array: np.ndarray, where: str) -> np.ndarray:
    """Check an array and make it labels: (d, h, w) uint8 or, with labels above 255, uint16, C-contiguous.

    Args:
        array: Numbers of any type.
        where: The file, for messages.

    Raises:
        InputError: It is not 3D, or holds other values than integers from 0 to 65535.
    """
    if array.ndim != 3:
        raise InputError(where, f"{array.ndim} dimensions", "a 3D label map", "convert the file")
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "buif":
        raise InputError(where, f"voxels of type {array.dtype}", "labels", "write it as integers")
    if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
        raise InputError(where, "NaN or infinite voxels", "labels", "write it as integers")
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if low < 0 or high > LARGEST_LABEL:
        raise InputError(where, f"values from {low} to {high}", f"labels from 0 to {LARGEST_LABEL}", "correct it")
    labels = array.astype(np.uint8 if high <= 255 else np.uint16, order="C")
    if array.dtype.kind == "f" and not np.array_equal(labels, array):
        raise InputError(where, "values between the integers", "labels", "resample label maps by nearest neighbour")
    return labels


def count_values(labels: np.ndarray, length: int = 0) -> np.ndarray:
    """Voxels of each value from 0 on, at least ``length`` numbers; slice by slice, since NumPy counts in int64."""
    length = max(length, int(labels.max(initial=0)) + 1)
    counts = np.zeros(length, np.int64)
    for part in labels:
        counts += np.bincount(part.reshape(-1), minlength=length)
    return counts


def write_label_map(array: np.ndarray, like: Path, path: Path) -> None:
    """Write labels or a mask (d, h, w) on the grid of another file; the file appears only when it is whole."""
    if not (is_nifti(path) and is_nifti(like)):
        write_on_grid(as_labels(array, str(path)), read_file_grid(like), path, FAST)
        return
    affine = nibabel.Nifti1Image.from_filename(like).affine
    image = nibabel.Nifti1Image(as_labels(array, str(path)).T, affine)
    image.header.set_xyzt_units("mm")
    with whole_file(path) as temporary:
        nibabel.save(image, temporary)


def write_on_grid(array: np.ndarray, grid: FileGrid, path: Path, compression_level: int = -1) -> None:
    """Write labels (d, h, w), or world vectors (d, h, w, 3), with a grid; the file appears only when it is whole.

    Args:
        array: What to write.
        grid: Its place in the world.
        path: The file; its ending is the format.
        compression_level: ITK's; -1 is the format's own.
    """
    image = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
    grid.put_on(image)
    with whole_file(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=True, compressionLevel=compression_level)

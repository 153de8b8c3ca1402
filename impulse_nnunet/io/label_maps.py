"""Label maps: read from files and checked (whole, three-dimensional, integer labels), and written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.arrayproxy import ArrayProxy

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import whole_file
from impulse_nnunet.io.formats import READING_ERRORS, is_nifti, unreadable
from impulse_nnunet.io.grid import FileGrid, read_file_grid
from impulse_nnunet.io.nifti_place import image_on_geometry, read_place

LARGEST_LABEL = 65535
ROUNDING = 1e-3  # scaled integers and floats come back that close to the integers that they were
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
        InputError: It is not 3D, or holds values further than 1e-3 from the integers from 0 to 65535.
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
    rounding = ROUNDING if array.dtype.kind == "f" else 0
    if low < -rounding or high > LARGEST_LABEL + rounding:
        raise InputError(where, f"values from {low} to {high}", f"labels from 0 to {LARGEST_LABEL}", "correct it")
    labels = np.empty(array.shape, np.uint8 if high <= 255 + rounding else np.uint16)
    if not rounding:
        labels[...] = array
        return labels
    for part, values in zip(labels, array, strict=True):  # slice by slice: no second volume of floats
        nearest = np.rint(values)
        off = np.abs(values - nearest)
        if float(off.max(initial=0)) > ROUNDING:
            remedy = "save it without a scaling (scl_slope), or resample it by nearest neighbour"
            raise InputError(where, "values between the integers", "labels", remedy)
        part[...] = nearest
    return labels


def count_values(labels: np.ndarray, length: int = 0) -> np.ndarray:
    """Voxels of each value from 0 on, at least ``length`` numbers; slice by slice, since NumPy counts in int64."""
    length = max(length, int(labels.max(initial=0)) + 1)
    counts = np.zeros(length, np.int64)
    for part in labels:
        counts += np.bincount(part.reshape(-1), minlength=length)
    return counts


def holds_integers(path: Path) -> bool:
    """Whether a label map's numbers are stored as integers, unscaled, so that any reader gives whole labels."""
    if is_nifti(path):
        stored = nibabel.load(path).dataobj  # type: ignore[attr-defined]
        plain = isinstance(stored, ArrayProxy) and (stored.slope, stored.inter) == (1, 0)
        return bool(plain and stored.dtype.kind in "iu")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader.GetPixelID() not in (sitk.sitkFloat32, sitk.sitkFloat64)


def write_label_map(array: np.ndarray, like: Path, path: Path) -> None:
    """Write labels or a mask (d, h, w) on the grid of another file; the file appears only when it is whole.

    Between NIfTI files every field of the place is kept, codes and units included.
    """
    if not (is_nifti(path) and is_nifti(like)):
        write_on_grid(as_labels(array, str(path)), read_file_grid(like), path, FAST)
        return
    image = image_on_geometry(as_labels(array, str(path)).T, read_place(like).geometry)
    with whole_file(path) as temporary:
        nibabel.save(image, temporary)


def write_on_grid(
    array: np.ndarray, grid: FileGrid, path: Path, compression_level: int = -1, *, like: Path | None = None
) -> None:
    """Write labels (d, h, w), or world vectors (d, h, w, 3), with a grid; the file appears only when it is whole.

    Args:
        array: What to write.
        grid: Its place in the world.
        path: The file; its ending is the format.
        compression_level: ITK's; -1 is the format's own.
        like: Where both are NIfTI, the file gets the form codes of this one.
    """
    if is_nifti(path):
        geometry = read_place(like).geometry if like is not None and is_nifti(like) else {}
        _write_nifti(array, grid, path, geometry.get("qform_code", 1), geometry.get("sform_code", 1))
        return
    image = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
    grid.put_on(image)
    with whole_file(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=True, compressionLevel=compression_level)


def _write_nifti(array: np.ndarray, grid: FileGrid, path: Path, qform_code: int, sform_code: int) -> None:
    """By nibabel: ITK would take the shear out of the axes. Vectors as ITK writes them, along a fifth axis."""
    affine = grid.ras_affine
    values = array.T if array.ndim == 3 else array.transpose(2, 1, 0, 3)[:, :, :, None]
    image = nibabel.Nifti1Image(values, affine)
    if array.ndim == 4:
        image.header.set_intent("vector")
    image.set_qform(affine, qform_code)
    image.set_sform(affine, sform_code)
    image.header.set_xyzt_units("mm")
    with whole_file(path) as temporary:
        nibabel.save(image, temporary)

"""World geometry of image files and of the arrays that nnU-Net's readers make of them.

Matrices are 4 x 4 and act on (d, h, w, 1) indices; world is LPS in mm, (x, y, z), as ITK has it.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import OrientationError
from nibabel.spatialimages import HeaderDataError

from impulse_nnunet.errors import InputError

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
REVERSED = np.eye(4)[[2, 1, 0, 3]]  # (d, h, w) <-> (x, y, z) order of indices
ORTHOGONAL = 1e-3
NIFTI = (".nii", ".nii.gz")
# whatever nibabel, ITK and nnU-Net's readers raise at files that are damaged or no images
READING_ERRORS = (
    OSError, RuntimeError, ValueError, EOFError, OverflowError, TypeError, IndexError, KeyError, AssertionError,
    MemoryError, zlib.error, np.linalg.LinAlgError, ImageFileError, HeaderDataError, OrientationError,
)  # fmt: skip


@dataclass(frozen=True)
class FileGrid:
    """The grid of an image file.

    Args:
        size: (x, y, z) voxels.
        spacing_mm: (x, y, z).
        origin: World position of the first voxel's centre.
        direction: (3, 3), columns are the axes' directions in the world.
    """

    size: tuple[int, int, int]
    spacing_mm: np.ndarray
    origin: np.ndarray
    direction: np.ndarray

    @classmethod
    def from_affine(cls, size: Sequence[int], affine: np.ndarray) -> FileGrid:
        """From a NIfTI affine: (x, y, z) indices to RAS."""
        matrix = RAS_TO_LPS @ affine
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        x, y, z = (int(n) for n in size)
        return cls((x, y, z), spacing, matrix[:3, 3], matrix[:3, :3] / spacing)

    @property
    def to_world(self) -> np.ndarray:
        """World position of (d, h, w) indices."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.direction @ np.diag(self.spacing_mm)
        matrix[:3, 3] = self.origin
        return matrix @ REVERSED

    def with_spacing(self, spacing_mm: Sequence[float]) -> FileGrid:
        """The grid with another spacing (x, y, z); first outer faces stay, the last ones to half a voxel."""
        new = np.asarray(spacing_mm, np.float64)
        if new.shape != (3,) or not np.all(new > 0):
            raise InputError("--spacing", f"{list(spacing_mm)}", "three positive numbers Z Y X in mm", "correct it")
        size = np.maximum(1, np.rint(np.asarray(self.size) * self.spacing_mm / new)).astype(int)
        origin = self.origin + self.direction @ ((new - self.spacing_mm) / 2)
        return FileGrid((int(size[0]), int(size[1]), int(size[2])), new, origin, self.direction)

    def put_on(self, image: sitk.Image) -> None:
        """Give an image this geometry."""
        image.SetSpacing(self.spacing_mm.tolist())
        image.SetOrigin(self.origin.tolist())
        image.SetDirection(self.direction.ravel().tolist())


def read_file_grid(path: str | Path) -> FileGrid:
    """Read the geometry of an image file from its header; NIfTI by nibabel, as nnU-Net's reader for it does."""
    grid = _read_nifti_grid(path) if str(path).lower().endswith(NIFTI) else _read_itk_grid(path)
    if not np.allclose(grid.direction.T @ grid.direction, np.eye(3), atol=ORTHOGONAL):
        raise InputError(str(path), "a sheared grid", "axes at right angles", "resample the image")
    return grid


def reader_to_world(properties: Mapping[str, Any]) -> np.ndarray | None:
    """World position of (d, h, w) indices of the array that nnU-Net's reader returned; None if it kept no geometry."""
    if "sitk_stuff" in properties:
        stuff = properties["sitk_stuff"]
        if len(stuff["spacing"]) != 3:
            return None
        direction = np.asarray(stuff["direction"]).reshape(3, 3)
        return FileGrid((1, 1, 1), np.asarray(stuff["spacing"]), np.asarray(stuff["origin"]), direction).to_world
    if "nibabel_stuff" in properties:
        stuff = properties["nibabel_stuff"]
        return RAS_TO_LPS @ np.asarray(stuff.get("reoriented_affine", stuff["original_affine"])) @ REVERSED
    return None


def largest_offset_mm(first: np.ndarray, second: np.ndarray, shape: Sequence[int]) -> float:
    """Largest distance between the world positions that two matrices give to the corners of an array, mm."""
    corners = np.array([[*index, 1] for index in itertools.product(*((0, n - 1) for n in shape))])
    return float(np.linalg.norm(((first - second) @ corners.T)[:3], axis=0).max())


def _read_nifti_grid(path: str | Path) -> FileGrid:
    try:
        image = nibabel.load(path)
    except READING_ERRORS as error:
        raise _unreadable(path) from error
    if not isinstance(image, nibabel.Nifti1Image):
        raise _unreadable(path)
    if len(image.shape) != 3:
        raise InputError(str(path), f"{len(image.shape)} dimensions", "a 3D image", "convert the image")
    if not np.all(np.isfinite(image.affine)) or not np.all(np.linalg.norm(image.affine[:3, :3], axis=0)):
        raise InputError(str(path), "an affine with zero, NaN or infinite axes", "the image's place", "mend the header")
    return FileGrid.from_affine(image.shape, image.affine)


def _read_itk_grid(path: str | Path) -> FileGrid:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except READING_ERRORS as error:
        raise _unreadable(path) from error
    if reader.GetDimension() != 3:
        raise InputError(str(path), f"{reader.GetDimension()} dimensions", "a 3D image", "convert the image")
    x, y, z = reader.GetSize()
    direction = np.asarray(reader.GetDirection()).reshape(3, 3)
    return FileGrid((x, y, z), np.asarray(reader.GetSpacing()), np.asarray(reader.GetOrigin()), direction)


def _unreadable(path: str | Path) -> InputError:
    expected = "a 3D image that nibabel or SimpleITK reads"
    return InputError(str(path), "a file whose geometry cannot be read", expected, "convert the image")

"""Grids in the world: of image files, and of the arrays that nnU-Net's readers make of them.

Matrices are 4 x 4 and act on (d, h, w, 1) indices; world is LPS in mm, (x, y, z), as ITK has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.affines import nearest_axes, nearest_rotation
from impulse_nnunet.io.formats import READING_ERRORS, is_nifti
from impulse_nnunet.io.nifti_place import place_of
from impulse_nnunet.io.text_headers import check_text_header

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
REVERSED = np.eye(4)[[2, 1, 0, 3]]  # (d, h, w) <-> (x, y, z) order of indices
LARGEST_SHEAR = 0.01  # cosine between two axes; public data have 0.002, tilted gantries 0.05 and more
SIDES = ("RL", "AP", "IS")  # to where an axis with a negative, a positive entry along LPS runs


@dataclass(frozen=True, kw_only=True)
class FileGrid:
    """The grid of an image file.

    Args:
        size: (x, y, z) voxels.
        spacing_mm: (x, y, z).
        origin: World position of the first voxel's centre, mm.
        direction: (3, 3), columns are the axes' directions in the world.
    """

    size: tuple[int, int, int]
    spacing_mm: np.ndarray
    origin: np.ndarray
    direction: np.ndarray

    @classmethod
    def from_affine(cls, size: Sequence[int], affine: np.ndarray) -> FileGrid:
        """From a NIfTI affine: (x, y, z) indices to RAS."""
        return cls._from_matrix(size, RAS_TO_LPS @ affine)

    @classmethod
    def from_array(cls, shape: Sequence[int], to_world: np.ndarray) -> FileGrid:
        """From an array's (d, h, w) shape and the world positions of its indices."""
        return cls._from_matrix(shape[::-1], to_world @ REVERSED)

    @classmethod
    def at_world_origin(cls, shape: Sequence[int], spacing_mm: Sequence[float]) -> FileGrid:
        """Grid of an array (d, h, w) whose file has a spacing (d, h, w) and no position: axes along LPS, from 0 on."""
        return cls.from_array(shape, np.diag([*spacing_mm, 1.0])[[2, 1, 0, 3]])

    @classmethod
    def _from_matrix(cls, size: Sequence[int], matrix: np.ndarray) -> FileGrid:
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        x, y, z = (int(n) for n in size)
        return cls(size=(x, y, z), spacing_mm=spacing, origin=matrix[:3, 3], direction=matrix[:3, :3] / spacing)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(d, h, w) of the array."""
        x, y, z = self.size
        return z, y, x

    @property
    def to_world(self) -> np.ndarray:
        """World position of (d, h, w) indices."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.direction @ np.diag(self.spacing_mm)
        matrix[:3, 3] = self.origin
        return matrix @ REVERSED

    @property
    def ras_affine(self) -> np.ndarray:
        """The NIfTI affine: (x, y, z, 1) indices to RAS."""
        return np.asarray(RAS_TO_LPS @ self.to_world @ REVERSED)

    @property
    def orientation(self) -> str:
        """To where the axes x, y, z run, roughly, e.g. ``LPS``."""
        axes = nearest_axes(nearest_rotation(self.direction))
        rows = np.abs(axes).argmax(0)
        return "".join(SIDES[row][int(axes[row, column] > 0)] for column, row in enumerate(rows))

    def with_spacing(self, spacing_mm: Sequence[float]) -> FileGrid:
        """The grid with another spacing (x, y, z); first outer faces stay, the last ones to half a voxel."""
        new = np.asarray(spacing_mm, np.float64)
        if new.shape != (3,) or not np.all(new > 0):
            raise InputError("`spacing_mm`", f"{list(spacing_mm)}", "three positive numbers Z Y X in mm", "correct it")
        x, y, z = np.maximum(1, np.rint(np.asarray(self.size) * self.spacing_mm / new)).astype(int).tolist()
        origin = self.origin + self.direction @ ((new - self.spacing_mm) / 2)
        return FileGrid(size=(x, y, z), spacing_mm=new, origin=origin, direction=self.direction)

    def put_on(self, image: sitk.Image) -> None:
        """Give an image this geometry."""
        image.SetSpacing(self.spacing_mm.tolist())
        image.SetOrigin(self.origin.tolist())
        image.SetDirection(self.direction.ravel().tolist())


def read_file_grid(path: str | Path) -> FileGrid:
    """Read the geometry of an image file from its header; NIfTI by nibabel, as nnU-Net's reader for it does.

    Raises:
        InputError: The file is missing, unreadable or not 3D, or its axes are far from right angles.
    """
    grid = _read_nifti_grid(path) if is_nifti(path) else _read_itk_grid(path)
    check_right_angles(grid, path)
    return grid


def check_right_angles(grid: FileGrid, path: str | Path) -> None:
    """Refuse axes that are further from right angles than rounding and registration leave them.

    Raises:
        InputError: Naming the angle, and a gantry's tilt where it looks like one.
    """
    cosines = np.abs(np.triu(grid.direction.T @ grid.direction, 1))
    largest = float(cosines.max())
    if largest <= LARGEST_SHEAR:
        return
    degrees = float(np.degrees(np.arcsin(min(1.0, largest))))
    what = "slices shifted against each other, as by a gantry's tilt" if cosines[0, 1] <= LARGEST_SHEAR else "axes"
    found = f"a sheared grid ({what}, {degrees:.1f} degrees off a right angle)"
    raise InputError(str(path), found, "axes at right angles", "resample the image")


def reader_to_world(properties: Mapping[str, Any]) -> np.ndarray | None:
    """World position of (d, h, w) indices of the array that nnU-Net's reader returned; None if it kept no geometry."""
    if "sitk_stuff" in properties:
        stuff = properties["sitk_stuff"]
        if len(stuff["spacing"]) != 3:
            return None
        matrix = np.eye(4)
        matrix[:3, :3] = np.asarray(stuff["direction"]).reshape(3, 3) @ np.diag(stuff["spacing"])
        matrix[:3, 3] = stuff["origin"]
        return matrix @ REVERSED
    if "nibabel_stuff" in properties:
        stuff = properties["nibabel_stuff"]
        return RAS_TO_LPS @ np.asarray(stuff.get("reoriented_affine", stuff["original_affine"])) @ REVERSED
    return None


def reader_grid(shape: Sequence[int], properties: Mapping[str, Any]) -> FileGrid:
    """The grid of a (d, h, w) array that nnU-Net's reader returned, by the reader's properties."""
    to_world = reader_to_world(properties)
    if to_world is None:
        return FileGrid.at_world_origin(shape, properties["spacing"])
    return FileGrid.from_array(shape, to_world)


def _read_nifti_grid(path: str | Path) -> FileGrid:
    try:
        image = nibabel.load(path)
    except READING_ERRORS as error:
        raise _no_geometry(path) from error
    if not isinstance(image, nibabel.Nifti1Image):
        raise _no_geometry(path)
    if len(image.shape) != 3:
        raise InputError(str(path), f"{len(image.shape)} dimensions", "a 3D image", "convert the image")
    return FileGrid.from_affine(image.shape, place_of(image, path).affine)


def _read_itk_grid(path: str | Path) -> FileGrid:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except READING_ERRORS as error:
        raise _no_geometry(path) from error
    if reader.GetDimension() != 3:
        raise InputError(str(path), f"{reader.GetDimension()} dimensions", "a 3D image", "convert the image")
    check_text_header(path)
    x, y, z = reader.GetSize()
    return FileGrid(
        size=(x, y, z),
        spacing_mm=np.asarray(reader.GetSpacing()),
        origin=np.asarray(reader.GetOrigin()),
        direction=np.asarray(reader.GetDirection()).reshape(3, 3),
    )


def _no_geometry(path: str | Path) -> InputError:
    expected = "a 3D image that nibabel or SimpleITK reads"
    return InputError(str(path), "a file whose geometry cannot be read", expected, "convert the image")

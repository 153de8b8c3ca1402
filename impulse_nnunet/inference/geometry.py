"""World geometry: from voxels of any output grid to positions in a preprocessed image.

Matrices are 4 x 4 and act on (d, h, w, 1) indices or (x, y, z, 1) world coordinates; world is LPS in mm, as ITK has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from impulse_nnunet.errors import InputError
from impulse_nnunet.inference.decoding import OutputGrid

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
REVERSED = np.eye(4)[[2, 1, 0, 3]]  # (d, h, w) <-> (x, y, z) order of indices


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
    """Read the geometry of an image file from its header."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(
            str(path), "a file whose geometry cannot be read", "a 3D image that SimpleITK reads", "convert the image"
        ) from error
    if reader.GetDimension() != 3:
        raise InputError(str(path), f"{reader.GetDimension()} dimensions", "a 3D image", "convert the image")
    x, y, z = reader.GetSize()
    return FileGrid(
        (x, y, z), np.asarray(reader.GetSpacing()), np.asarray(reader.GetOrigin()),
        np.asarray(reader.GetDirection()).reshape(3, 3),
    )  # fmt: skip


def reader_to_world(properties: Mapping[str, Any]) -> np.ndarray:
    """World position of (d, h, w) indices of the array that nnU-Net's reader returned."""
    if "sitk_stuff" in properties:
        stuff = properties["sitk_stuff"]
        direction = np.asarray(stuff["direction"]).reshape(3, 3)
        return FileGrid((1, 1, 1), np.asarray(stuff["spacing"]), np.asarray(stuff["origin"]), direction).to_world
    if "nibabel_stuff" in properties:
        stuff = properties["nibabel_stuff"]
        return RAS_TO_LPS @ np.asarray(stuff.get("reoriented_affine", stuff["original_affine"])) @ REVERSED
    raise InputError(
        "image",
        "a reader that keeps no world geometry",
        "NIfTI, NRRD or MetaImage files",
        "predict on the image's own grid",
    )


def image_to_world(properties: Mapping[str, Any], transpose_forward: Sequence[int]) -> np.ndarray:
    """World position of image positions ([-1, 1] at the faces) of the cropped, transposed image."""
    lower = np.asarray([bounds[0] for bounds in properties["bbox_used_for_cropping"]], np.float64)
    size = np.asarray(properties["shape_after_cropping_and_before_resampling"], np.float64)
    to_index = np.eye(4)
    to_index[:3, :3] = np.diag(size / 2)
    to_index[:3, 3] = lower + size / 2 - 0.5
    back = np.zeros((4, 4))
    back[3, 3] = 1
    for transposed, original in enumerate(transpose_forward):
        back[original, transposed] = 1
    return reader_to_world(properties) @ back @ to_index


def output_grid(file_grid: FileGrid, to_world: np.ndarray) -> OutputGrid:
    """The grid of a file as seen from a preprocessed image (whose positions ``to_world`` takes to the world)."""
    matrix = np.linalg.inv(to_world) @ file_grid.to_world
    return OutputGrid((file_grid.size[2], file_grid.size[1], file_grid.size[0]), matrix[:3])

"""From voxels of any output grid to positions in a preprocessed image; matrices as in :mod:`impulse_nnunet.io.grid`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from impulse_nnunet.decoding import OutputGrid
from impulse_nnunet.errors import InputError
from impulse_nnunet.io.grid import FileGrid, reader_to_world


def image_to_world(properties: Mapping[str, Any], transpose_forward: Sequence[int]) -> np.ndarray:
    """World position of image positions ([-1, 1] at the faces) of the cropped, transposed image."""
    to_world = reader_to_world(properties)
    if to_world is None:
        raise InputError(
            "image",
            "a format without world geometry",
            "NIfTI, NRRD or MetaImage files",
            "predict on the image's own grid",
        )
    lower = np.asarray([bounds[0] for bounds in properties["bbox_used_for_cropping"]], np.float64)
    size = np.asarray(properties["shape_after_cropping_and_before_resampling"], np.float64)
    to_index = np.eye(4)
    to_index[:3, :3] = np.diag(size / 2)
    to_index[:3, 3] = lower + size / 2 - 0.5
    back = np.zeros((4, 4))
    back[3, 3] = 1
    for transposed, original in enumerate(transpose_forward):
        back[original, transposed] = 1
    return to_world @ back @ to_index


def output_grid(file_grid: FileGrid, to_world: np.ndarray) -> OutputGrid:
    """The grid of a file as seen from a preprocessed image (whose positions ``to_world`` takes to the world)."""
    matrix = np.linalg.inv(to_world) @ file_grid.to_world
    return OutputGrid((file_grid.size[2], file_grid.size[1], file_grid.size[0]), matrix[:3])

"""The one rule by which two files lie on the same grid, and the messages about those that do not (docs/files.md)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.affines import largest_offset_mm
from impulse_nnunet.io.grid import FileGrid, read_file_grid

Spacing: TypeAlias = Sequence[float] | np.ndarray
SPACING_TOLERANCE = 1e-3  # relative
OFFSET_TOLERANCE = 0.5  # of the smallest spacing: up to there voxel k of one is nearest to voxel k of the other
REMEDY = "correct the header or resample it to that grid"


def check_same_grid(found: FileGrid, expected: FileGrid, subject: str, reference: str) -> None:
    """Refuse a grid that is not another one: shape, spacing within 1e-3, all corners within half the smallest spacing.

    Args:
        found: The grid.
        expected: What it should be.
        subject: The file, for the message.
        reference: The other file, for the message.

    Raises:
        InputError: Naming what differs, as both have it.
    """
    if found.size != expected.size:
        raise InputError(subject, f"shape {found.shape}", f"{expected.shape} as in {reference}", REMEDY)
    check_same_spacing(found.spacing_mm[::-1], expected.spacing_mm[::-1], subject, reference)
    offset_mm = largest_offset_mm(found.to_world, expected.to_world, expected.shape)
    if offset_mm > OFFSET_TOLERANCE * float(expected.spacing_mm.min()):
        ours, theirs = _what_differs(found, expected)
        raise InputError(
            subject, f"{ours} (voxels up to {offset_mm:.4g} mm off)", f"{theirs} as in {reference}", REMEDY
        )


def check_same_spacing(found: Spacing, expected: Spacing, subject: str, reference: str) -> None:
    """Refuse a spacing (d, h, w), mm, that differs by more than 1e-3 from another one.

    Raises:
        InputError: With both.
    """
    if not np.allclose(found, expected, rtol=SPACING_TOLERANCE):
        raise InputError(subject, f"spacing {_text(found)} mm", f"{_text(expected)} mm as in {reference}", REMEDY)


def check_files_on_same_grid(path: Path, reference: Path) -> None:
    """Refuse a file whose grid is not that of another file; see :func:`check_same_grid`."""
    check_same_grid(read_file_grid(path), read_file_grid(reference), str(path), str(reference))


def is_same_grid(found: FileGrid, expected: FileGrid) -> bool:
    """Whether :func:`check_same_grid` lets a grid pass."""
    try:
        check_same_grid(found, expected, "", "")
    except InputError:
        return False
    return True


def _what_differs(found: FileGrid, expected: FileGrid) -> tuple[str, str]:
    """What two grids of equal shape and (nearly) equal spacing differ in, as either has it."""
    directions = [f"direction {_text(grid.direction.ravel())}" for grid in (found, expected)]
    if not np.allclose(found.direction, expected.direction, atol=SPACING_TOLERANCE):
        return directions[0], directions[1]
    if np.linalg.norm(found.origin - expected.origin) > OFFSET_TOLERANCE * float(expected.spacing_mm.min()):
        return f"origin {_text(found.origin)} mm", f"origin {_text(expected.origin)} mm"
    # differences too small to matter for a voxel, but not for the far end of the image
    spacings = [f"spacing {_text(grid.spacing_mm[::-1])} mm" for grid in (found, expected)]
    return f"{spacings[0]}, {directions[0]}", f"{spacings[1]}, {directions[1]}"


def _text(values: Spacing) -> str:
    return "(" + ", ".join(f"{float(v):.6g}" for v in values) + ")"

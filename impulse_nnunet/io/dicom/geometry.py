"""Slices in the order of their places, on one regular grid, or the reason why they are not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dicom.headers import Header
from impulse_nnunet.io.dicom.series import FEWEST_SLICES, Series
from impulse_nnunet.io.grid import LARGEST_SHEAR, FileGrid

SAME_COSINES = 1e-3  # of two slices of one orientation, and of cosines from right angles
SAME_SPACING = 1e-3  # relative, of the pixels of two slices
SAME_PLACE_MM = 0.01  # two slices that near are two of one place
IRREGULAR = 0.1  # of the slice spacing, or of a pixel: positions are rounded to 0.1 mm or so in some files
TILTED_DEGREES = math.degrees(math.asin(LARGEST_SHEAR))
COPY = "copy the series again"
REMEDY = "leave the series out, or convert it to an image by a tool that resamples it"


def in_order(series: Series) -> tuple[list[Header], FileGrid]:
    """The slices of a series from its first voxel on, and the grid that they make up.

    Args:
        series: Of single-frame images.

    Returns:
        Headers by their place along the normal of rows and columns, never by file name or number; the grid of
        (x, y, z), x along a row, y along a column, z along the normal.

    Raises:
        InputError: Naming the series by its case, and what is wrong with it.
    """
    name, headers = series.name, list(series.headers)
    if series.unreadable:
        raise _refused(name, f"{series.unreadable} unreadable file(s) beside its slices", "whole files", COPY)
    if any(header.number("frames", 1) > 1 for header in headers):
        raise _refused(name, "multi-frame files (enhanced DICOM)", "one file a slice", REMEDY)
    if len(headers) < FEWEST_SLICES:
        raise _refused(name, f"{len(headers)} slice(s)", f"at least {FEWEST_SLICES}", "choose another by `series`")
    _check_same(name, headers)
    axes = _axes(name, headers)
    positions = np.array([_vector(name, header, "position", 3) for header in headers])
    along = positions @ axes[:, 2]
    order = np.argsort(along, kind="stable")
    headers = [headers[index] for index in order]
    _check_gaps(name, np.diff(along[order]))
    step = _step(name, positions[order], axes, _pixel_mm(name, headers[0]))
    _check_tilt_tag(name, headers[0], axes)
    return headers, _grid(name, headers, positions[order[0]], axes, step)


def _check_same(name: str, headers: Sequence[Header]) -> None:
    """Rows, columns, pixels, frame of reference and orientation must be those of all slices."""
    first = headers[0]
    sizes = {(header.text("rows"), header.text("columns")) for header in headers}
    if len(sizes) > 1:
        raise _refused(name, f"slices of {len(sizes)} sizes", "one size")
    pixels = np.array([_pixel_mm(name, header) for header in headers])
    if not np.allclose(pixels, pixels[0], rtol=SAME_SPACING, atol=0):
        raise _refused(name, f"pixels from {pixels.min():.4g} to {pixels.max():.4g} mm", "one pixel spacing")
    if len({header.text("frame_of_reference") for header in headers}) > 1:
        raise _refused(name, "slices of several frames of reference", "one")
    reference = np.array(_vector(name, first, "orientation", 6))
    cosines = np.array([_vector(name, header, "orientation", 6) for header in headers])
    if np.abs(cosines - reference).max() > SAME_COSINES:
        kinds = len({tuple(np.round(row, 2)) for row in cosines})
        raise _refused(name, f"slices in {max(2, kinds)} orientations", "one orientation")


def _axes(name: str, headers: Sequence[Header]) -> np.ndarray:
    """(3, 3), columns: along a row, along a column, and the normal."""
    along_row, along_column = np.array(_vector(name, headers[0], "orientation", 6)).reshape(2, 3)
    lengths = np.linalg.norm([along_row, along_column], axis=1)
    if np.abs(lengths - 1).max() > SAME_COSINES or abs(along_row @ along_column) > SAME_COSINES:
        raise _refused(name, "direction cosines that are not of length 1 and at right angles", "an orientation")
    along_row, along_column = along_row / lengths[0], along_column / lengths[1]
    normal = np.cross(along_row, along_column)
    return np.stack([along_row, along_column, normal / np.linalg.norm(normal)], axis=1)


def _check_gaps(name: str, gaps: np.ndarray) -> None:
    """Refuse slices of one place, and missing ones."""
    twice = int(np.count_nonzero(gaps < SAME_PLACE_MM))
    if twice:
        raise _refused(name, f"{twice} duplicate slice(s), at places that others have", "one slice a place")
    usual = float(np.median(gaps))
    steps = np.rint(gaps / usual)
    if steps.max() > 1 and np.all(np.abs(gaps - steps * usual) <= IRREGULAR * usual * steps) and steps.min() > 0:
        missing, where = int((steps - 1).sum()), int(steps.argmax())
        found = f"{missing} missing slice(s), after slice {where + 1} of {len(gaps) + 1}"
        raise _refused(name, found, "all slices", COPY)


def _step(name: str, positions: np.ndarray, axes: np.ndarray, pixel_mm: Sequence[float]) -> np.ndarray:
    """From a slice to the next, mm; refuses uneven steps, and steps that are not along the normal."""
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    off = (positions - positions[0] - np.arange(len(positions))[:, None] * step) @ axes
    spacing = float(np.linalg.norm(step))
    if np.abs(off[:, 2]).max() > IRREGULAR * spacing:
        gaps = np.diff(positions @ axes[:, 2])
        raise _refused(name, f"uneven slice spacing, {gaps.min():.4g} to {gaps.max():.4g} mm", "one spacing")
    if np.abs(off[:, :2]).max() > max(IRREGULAR * min(pixel_mm), SAME_PLACE_MM):
        raise _refused(name, f"slices shifted sideways by up to {np.abs(off[:, :2]).max():.3g} mm", "slices in line")
    degrees = math.degrees(math.acos(min(1.0, float(step @ axes[:, 2]) / spacing)))
    if degrees > TILTED_DEGREES:
        raise _refused(name, f"a tilted gantry (slices shifted by {degrees:.1f} degrees)", "axes at right angles")
    return step


def _check_tilt_tag(name: str, header: Header, axes: np.ndarray) -> None:
    """Refuse a tilt that the header tells and positions and orientation do not show."""
    tilt = abs(header.number("tilt"))
    shown = math.degrees(math.acos(min(1.0, abs(float(axes[2, 2])))))
    if tilt > TILTED_DEGREES and shown < tilt / 2:
        found = f"a gantry tilt of {tilt:.1f} degrees in the header and upright slices"
        raise _refused(name, found, "positions that show the tilt")


def _grid(name: str, headers: Sequence[Header], origin: np.ndarray, axes: np.ndarray, step: np.ndarray) -> FileGrid:
    rows, columns = (int(headers[0].number(tag)) for tag in ("rows", "columns"))
    between_rows, between_columns = _pixel_mm(name, headers[0])
    spacing = float(np.linalg.norm(step))
    return FileGrid(
        size=(columns, rows, len(headers)),
        spacing_mm=np.array([between_columns, between_rows, spacing]),
        origin=origin,
        direction=np.stack([axes[:, 0], axes[:, 1], step / spacing], axis=1),
    )


def _pixel_mm(name: str, header: Header) -> tuple[float, ...]:
    """Between rows and between columns, mm."""
    pixel = _vector(name, header, "spacing", 2)
    if min(pixel) <= 0:
        raise _refused(name, f"pixels of {pixel[0]:g} x {pixel[1]:g} mm", "positive numbers")
    return pixel


def _vector(name: str, header: Header, tag: str, length: int) -> tuple[float, ...]:
    numbers = header.numbers(tag)
    if len(numbers) != length or not np.all(np.isfinite(numbers)):
        raise _refused(name, f"a slice without a valid {tag}", f"{length} numbers in each header")
    return numbers


def _refused(name: str, found: str, expected: str, remedy: str = REMEDY) -> InputError:
    return InputError(name, found, expected, remedy)

"""The part of a label map that a page shows, with its axes turned to run left, back and up as nearly as they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from impulse_nnunet.geometry.boxes import bounding_box
from impulse_nnunet.io.affines import angle_degrees, nearest_axes, nearest_rotation
from impulse_nnunet.io.grid import FileGrid


@dataclass(frozen=True, kw_only=True)
class PageFrame:
    """From a file's array to the page's.

    Args:
        box: Part of the file's (d, h, w) array.
        order: Axes of the file's array in the page's order (z, y, x).
        flips: Whether each of those runs the other way.
        grid: Of the page's array: axes along LPS, as nearly as the image's own do.
    """

    box: tuple[slice, slice, slice]
    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    grid: FileGrid

    @classmethod
    def around(cls, masks: Sequence[np.ndarray], grid: FileGrid, margin_mm: float) -> PageFrame:
        """The box of all that is not 0, with a margin; everything if all is 0.

        Args:
            masks: (d, h, w) each.
            grid: Theirs.
            margin_mm: On each side, as far as the image goes.
        """
        box = _box(masks, grid, margin_mm)
        axes = nearest_axes(nearest_rotation(grid.direction))  # rows: world; columns: the file's x, y, z
        columns = np.abs(axes).argmax(axis=1)  # the file's axis along x, y, z of the world
        order = tuple(2 - int(columns[world]) for world in (2, 1, 0))
        flips = tuple(bool(axes[world, columns[world]] < 0) for world in (2, 1, 0))
        turn = np.zeros((4, 4))  # page index -> file index
        turn[3, 3] = 1
        for page, (axis, flip) in enumerate(zip(order, flips, strict=True)):
            turn[axis, page] = -1 if flip else 1
            turn[axis, 3] = box[axis].stop - 1 if flip else box[axis].start
        shape = [box[axis].stop - box[axis].start for axis in order]
        placed = FileGrid.from_array(shape, grid.to_world @ turn)
        return cls(box=box, order=order, flips=flips, grid=placed)  # type: ignore[arg-type]

    def turned(self, array: np.ndarray) -> np.ndarray:
        """A file's array (d, h, w), cut and turned to (z, y, x), C-contiguous."""
        steps = tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)
        return np.ascontiguousarray(array[self.box].transpose(self.order)[steps])

    @cached_property
    def oblique_degrees(self) -> float:
        """Angle between the image's axes and the body's."""
        return angle_degrees(np.eye(3), nearest_rotation(self.grid.direction))

    def content(self) -> dict[str, list[float] | list[list[float]]]:
        """For the page: mm along the axes from the first voxel's centre, and where that is in the world."""
        spacing, size = self.grid.spacing_mm, np.asarray(self.grid.size)
        return {
            "origin": self.grid.origin.tolist(),
            "axes": self.grid.direction.T.tolist(),
            "lower": (-spacing / 2).tolist(),
            "upper": ((size - 0.5) * spacing).tolist(),
        }


def _box(masks: Sequence[np.ndarray], grid: FileGrid, margin_mm: float) -> tuple[slice, slice, slice]:
    found = [faces for mask in masks if (faces := bounding_box(mask)) is not None]
    shape = np.asarray(grid.shape)
    if not found:
        z, y, x = (slice(0, int(n)) for n in shape)
        return z, y, x
    margin = np.rint(margin_mm / grid.spacing_mm[::-1])
    lower = np.maximum(np.min([low for low, _ in found], axis=0) - margin, 0).astype(int)
    upper = np.minimum(np.max([high for _, high in found], axis=0) + margin, shape).astype(int)
    z, y, x = (slice(int(start), int(stop)) for start, stop in zip(lower, upper, strict=True))
    return z, y, x

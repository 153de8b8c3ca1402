"""Grids in millimetres. Arrays are (d, h, w): head to foot, front to back, the patient's right to left.

Positions are (z, y, x) in mm along these axes, in the patient's frame: z = 0 near the lung apices, y = x = 0 mid-chest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WORKING_SPACING_MM = 3.0
WORKING_FIRST_MM = (-39.0, -150.0, -201.0)
WORKING_SIZE = (116, 107, 135)


@dataclass(frozen=True)
class Grid:
    """A regular grid.

    Args:
        first_mm: (3,) position of the first voxel's centre.
        spacing_mm: (3,).
        size: (3,) voxels.
    """

    first_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    size: tuple[int, int, int]

    @property
    def volume_mm3(self) -> float:
        """Volume of one voxel, mm^3."""
        return self.spacing_mm[0] * self.spacing_mm[1] * self.spacing_mm[2]

    def positions(self, indices: np.ndarray) -> np.ndarray:
        """Positions of (n, 3) indices, mm."""
        return np.asarray(self.first_mm) + np.asarray(indices, np.float64) * np.asarray(self.spacing_mm)

    def indices(self, positions_mm: np.ndarray) -> np.ndarray:
        """Nearest indices of (n, 3) positions, clipped to the grid; int64."""
        raw = (np.asarray(positions_mm) - np.asarray(self.first_mm)) / np.asarray(self.spacing_mm)
        return np.clip(np.rint(raw).astype(np.int64), 0, np.asarray(self.size) - 1)

    def with_subslices(self, number: int) -> Grid:
        """Each slice cut into ``number`` thinner ones."""
        thin = self.spacing_mm[0] / number
        first = self.first_mm[0] - (self.spacing_mm[0] - thin) / 2
        return Grid((first, *self.first_mm[1:]), (thin, *self.spacing_mm[1:]), (self.size[0] * number, *self.size[1:]))


def working_grid() -> Grid:
    """The grid on which every anatomy is made, whatever the image's grid: the same seed is the same anatomy."""
    return Grid(WORKING_FIRST_MM, (WORKING_SPACING_MM,) * 3, WORKING_SIZE)


def image_grid(
    centre_mm: tuple[float, float, float], size: tuple[int, int, int], spacing_mm: tuple[float, float, float]
) -> Grid:
    """The grid of an image around a centre."""
    first = [c - s * (n - 1) / 2 for c, n, s in zip(centre_mm, size, spacing_mm, strict=True)]
    return Grid((first[0], first[1], first[2]), spacing_mm, size)


def one_from_each_cell(positions_mm: np.ndarray, cell_mm: float) -> np.ndarray:
    """Numbers of the first of (n, 3) positions in each cell of a lattice, ascending."""
    cells = np.floor(positions_mm / cell_mm).astype(np.int64)
    cells -= cells.min(0)
    codes = np.ravel_multi_index(tuple(cells.T), tuple(cells.max(0) + 1))
    first = np.full(int(codes.max()) + 1, len(codes))
    np.minimum.at(first, codes, np.arange(len(codes)))
    return np.sort(first[first < len(codes)])

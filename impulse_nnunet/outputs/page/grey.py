"""Grey values for a page: an image on the page's grid in 256 levels, coarser where it would be too large for a mail."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.grey_images import read_grey_image
from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.io.same_grid import is_same_grid
from impulse_nnunet.outputs.page.frame import PageFrame

AIR_HU = -800.0  # a hundredth of the voxels lies below it: HU of a body in air
# HU from, to, step: fine where windows are narrow, 255 levels in all
HU_STEPS = ((-1020.0, -200.0, 10.0), (-200.0, 300.0, 5.0), (300.0, 1400.0, 20.0), (1400.0, 3200.0, 100.0))
HU_WINDOWS = {"Lung": (-1350.0, 150.0), "Mediastinum": (-160.0, 240.0), "Bone": (-600.0, 1400.0)}
SHARES = {"Auto": (1.0, 99.0), "Full": (0.0, 100.0)}  # percentiles, where values are no HU
HU = "HU"


@dataclass(frozen=True, kw_only=True)
class Grey:
    """An image on the page's grid.

    Args:
        values: (z, y, x).
        is_hu: Whether they are Hounsfield units.
        resampled: Whether the file lay on another grid than the label map.
        outside: Share of the page's box that the file does not cover.
    """

    values: np.ndarray
    is_hu: bool
    resampled: bool = False
    outside: float = 0.0

    def levels(self) -> np.ndarray:
        """Values of the levels of :meth:`coded`, ascending, at most 256."""
        if self.is_hu:
            return np.concatenate([np.arange(*part) for part in HU_STEPS] + [[HU_STEPS[-1][1]]])
        low, high = float(self.values.min()), float(self.values.max())
        return np.linspace(low, high if high > low else low + 1, 256)

    def windows(self) -> list[dict[str, Any]]:
        """Names and limits of the windows on offer, the one to begin with first."""
        if self.is_hu:
            limits = dict(HU_WINDOWS)
        else:
            limits = {name: tuple(np.percentile(self.values, share).tolist()) for name, share in SHARES.items()}
        return [{"name": name, "low": low, "high": max(high, low + 1e-6)} for name, (low, high) in limits.items()]

    def coded(self, block: tuple[int, int, int]) -> np.ndarray:
        """Numbers of the nearest levels (z, y, x) of the means of blocks; incomplete blocks at the end count too."""
        means = block_means(self.values, block)
        levels = self.levels()
        codes = np.empty(means.shape, np.uint8)
        middles = (levels[1:] + levels[:-1]) / 2
        for part, values in zip(codes, means, strict=True):
            part[...] = np.searchsorted(middles, values)
        return codes


def read_grey(path: Path, frame: PageFrame, label_grid: FileGrid, is_hu: bool | None = None) -> Grey:
    """Read an image and bring it to the page's grid.

    Args:
        path: The file.
        frame: The page's.
        label_grid: Of the label map's file.
        is_hu: Whether it holds HU; None decides by its values.

    Raises:
        InputError: Unreadable, not 3D, not finite, or nowhere near the labels.
    """
    image = read_grey_image(path)
    values, grid = image.values, image.grid
    if is_hu is None:
        is_hu = float(np.percentile(values[::2, ::2, ::2], 1)) < AIR_HU
    if is_same_grid(grid, label_grid):
        return Grey(values=frame.turned(values), is_hu=is_hu)
    sampled, outside = _sampled(values, grid, frame.grid)
    if outside > 0.95:
        remedy = "give the image that was segmented"
        raise InputError(str(path), "an image that lies elsewhere", "one that covers the labels", remedy)
    return Grey(values=sampled, is_hu=is_hu, resampled=True, outside=outside)


def block_means(values: np.ndarray, block: tuple[int, int, int]) -> np.ndarray:
    """Means of blocks (z, y, x) as float32; those at the end of an axis may be incomplete."""
    means, count = values.astype(np.float32), 1.0
    for axis, size in enumerate(block):
        if size > 1:
            length = means.shape[axis]
            starts = np.arange(0, length, size)
            means = np.add.reduceat(means, starts, axis=axis)
            in_block = np.minimum(starts + size, length) - starts
            means /= in_block.reshape([-1 if one == axis else 1 for one in range(3)])
    return means * np.float32(count)


def _sampled(values: np.ndarray, grid: FileGrid, target: FileGrid) -> tuple[np.ndarray, float]:
    """Linear interpolation on another grid, its least value outside, and the share of the target that is outside."""
    matrix = np.linalg.inv(grid.to_world) @ target.to_world
    lowest = float(values.min()) - 1
    sampled = ndimage.affine_transform(
        values.astype(np.float32),
        matrix[:3, :3],
        matrix[:3, 3],
        target.shape,
        order=1,
        mode="grid-constant",
        cval=lowest,
        prefilter=False,
    )
    outside = sampled < lowest + 0.5
    sampled[outside] = lowest + 1
    return sampled, float(outside.mean())

"""How nnU-Net would shape its own network for a grid: stages, strides, kernels and widths."""

from __future__ import annotations

import math
from collections.abc import Sequence

from impulse_nnunet.network.settings import NetworkSettings

SMALLEST_EDGE = 4  # of the deepest feature map
FIRST_FEATURES, LARGEST_FEATURES = 32, 320
CONVOLUTIONS = 2
ANISOTROPIC = 2.0  # ratio of spacings from which on an axis is coarse


def nnunet_settings(grid: Sequence[int], spacing_mm: Sequence[float]) -> NetworkSettings:
    """nnU-Net's plain U-Net for a patch as large as a grid.

    nnU-Net halves the axes that are still long enough and not coarser than twice the finest one, and makes a kernel 3
    wide on an axis as soon as that holds. Where it would pad the grid until the strides divide it, an axis is not
    halved further here: the grid is given.

    Args:
        grid: (d, h, w), voxels.
        spacing_mm: (d, h, w) of the grid.
    """
    size, spacing = list(grid), [float(s) for s in spacing_mm]
    kernel = [1, 1, 1]
    strides, kernels = [(1, 1, 1)], []
    while axes := _halved(size, spacing):
        kernel = _widened(kernel, spacing)
        kernels.append((kernel[0], kernel[1], kernel[2]))
        stride = [2 if axis in axes else 1 for axis in range(3)]
        size = [n // s for n, s in zip(size, stride, strict=True)]
        spacing = [mm * s for mm, s in zip(spacing, stride, strict=True)]
        strides.append((stride[0], stride[1], stride[2]))
    kernels.append((3, 3, 3))
    return NetworkSettings(
        encoder="unet",
        features_per_stage=tuple(min(LARGEST_FEATURES, FIRST_FEATURES * 2**stage) for stage in range(len(strides))),
        strides=tuple(strides),
        blocks_per_stage=(CONVOLUTIONS,) * len(strides),
        kernel_sizes=tuple(kernels),
        norm="instance",
    )


def _halved(size: Sequence[int], spacing: Sequence[float]) -> list[int]:
    """Axes that the next stage halves."""
    long_enough = [axis for axis in range(3) if size[axis] >= 2 * SMALLEST_EDGE and size[axis] % 2 == 0]
    if not long_enough:
        return []
    finest = min(spacing[axis] for axis in long_enough)
    axes = [axis for axis in long_enough if spacing[axis] / finest < ANISOTROPIC]
    if len(axes) == 1 and size[axes[0]] < 3 * SMALLEST_EDGE:
        return []
    return axes


def _widened(kernel: Sequence[int], spacing: Sequence[float]) -> list[int]:
    finest = min(spacing)
    return [3 if mm / finest < ANISOTROPIC else edge for mm, edge in zip(spacing, kernel, strict=True)]


def spacing_of(extent_mm: Sequence[float] | None, grid: Sequence[int]) -> tuple[float, ...]:
    """Spacing of a grid over an extent; cubic voxels where the extent is unknown."""
    if extent_mm is None or not all(math.isfinite(mm) and mm > 0 for mm in extent_mm):
        return (1.0, 1.0, 1.0)
    return tuple(mm / n for mm, n in zip(extent_mm, grid, strict=True))

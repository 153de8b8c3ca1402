"""The working volume: an image reduced to a little more than the input grid's resolution, in half precision.

It is the only image that training and prediction see, made by the same function in both, so both see the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impulse_nnunet.errors import InputError

LARGEST_HALF = 65504.0


def working_shape(shape: Sequence[int], working_grid: Sequence[int]) -> tuple[int, int, int]:
    """Shape of the working volume of an image: the plans' grid, never finer than the image."""
    d, h, w = (min(int(n), int(g)) for n, g in zip(shape, working_grid, strict=True))
    return d, h, w


def to_working_volume(image: Tensor, working_grid: Sequence[int]) -> Tensor:
    """Reduce a native image (channel, d, h, w) to its working volume, float16.

    Axis by axis with a linear filter as wide as the reduction (no aliasing, no overshoot: a mask stays in [0, 1]).
    """
    shape = working_shape(image.shape[1:], working_grid)
    volume = image.float()
    order = sorted(range(3), key=lambda axis: shape[axis] / image.shape[axis + 1])
    for axis in order:
        volume = _resize_axis(volume, axis + 1, shape[axis])
    return volume.clamp(-LARGEST_HALF, LARGEST_HALF).half().contiguous()


def stored_working_volume(image: Tensor, native_shape: Sequence[int], working_grid: Sequence[int], case: str) -> Tensor:
    """The working volume of a preprocessed case: ours as it is, stock nnU-Net's native image (float32) reduced now.

    Raises:
        InputError: The case was stored for another working grid.
    """
    if image.dtype != torch.float16:
        return to_working_volume(image, working_grid)
    expected = working_shape(native_shape, working_grid)
    if tuple(image.shape[1:]) != expected:
        raise InputError(
            case,
            f"a stored working volume of {tuple(image.shape[1:])} voxels",
            f"{expected} by the plans",
            "preprocess again after a change of impulse.grid.working_grid",
        )
    return image


def linear_weights(size: int, new_size: int, device: torch.device | str = "cpu") -> Tensor:
    """Weights (new_size, size) that resize an axis; faces stay on faces, each row sums to 1."""
    reduction = max(1.0, size / new_size)
    centres = (torch.arange(new_size, dtype=torch.float64, device=device) + 0.5) * size / new_size
    voxels = torch.arange(size, dtype=torch.float64, device=device) + 0.5
    weights = (1 - (voxels[None] - centres[:, None]).abs() / reduction).clamp_min(0)
    return (weights / weights.sum(1, keepdim=True)).float()


def _resize_axis(volume: Tensor, axis: int, new_size: int) -> Tensor:
    size = volume.shape[axis]
    if size == new_size:
        return volume
    weights = linear_weights(size, new_size, volume.device)
    return torch.movedim(torch.tensordot(volume, weights, dims=([axis], [1])), -1, axis)

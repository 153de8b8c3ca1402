"""From samples to network input, on the training device: one affine interpolation and random intensities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impulse_nnunet.coordinates import Box, grid_points, sample_points
from impulse_nnunet.settings import AugmentationSettings


def image_on_box(volume: Tensor, box: Box, input_grid: Sequence[int]) -> Tensor:
    """Interpolate a working volume (channel, d, h, w) on the input grid of a box: (channel, *input_grid) float32."""
    points = grid_points(input_grid, device=volume.device)
    matrix = torch.as_tensor(box.matrix, dtype=torch.float32, device=volume.device)
    centre = torch.as_tensor(box.centre, dtype=torch.float32, device=volume.device)
    return sample_points(volume[None].float(), (points @ matrix.T + centre)[None])[0]


def random_intensities(
    image: Tensor, seed: int, settings: AugmentationSettings, mask_channels: Sequence[int]
) -> Tensor:
    """Change contrast, brightness and noise of each channel that is no mask.

    Args:
        image: (channel, d, h, w), normalised.
        seed: The same seed gives the same image on any device.
        settings: Ranges.
        mask_channels: Left alone.
    """
    channels = [c for c in range(image.shape[0]) if c not in mask_channels]
    if not channels:
        return image
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(len(channels), 2, generator=generator)
    brightness = torch.randn(len(channels), generator=generator) * settings.brightness
    noise = torch.randn(len(channels), *image.shape[1:], generator=generator)
    contrast = 1 + (2 * draw[:, 0] - 1) * settings.contrast
    strength = (draw[:, 1] * settings.noise)[:, None, None, None]
    noise = (noise * strength).to(image.device)
    contrast, brightness = (v.to(image.device)[:, None, None, None] for v in (contrast, brightness))
    chosen = image[channels]
    mean = chosen.mean(dim=(1, 2, 3), keepdim=True)
    image = image.clone()
    image[channels] = (chosen - mean) * contrast + mean + brightness + noise
    return image

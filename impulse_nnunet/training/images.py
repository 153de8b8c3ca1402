"""Random intensities of the network's input, on the training device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impulse_nnunet.settings import AugmentationSettings


def random_intensities(
    image: Tensor, seed: int, settings: AugmentationSettings, mask_channels: Sequence[int]
) -> Tensor:
    """Change contrast, brightness and noise of each channel that is not a mask.

    Args:
        image: (channel, d, h, w), normalised.
        seed: The same seed gives the same image on one kind of device; the noise is drawn where the image lies.
        settings: Ranges.
        mask_channels: Left alone.
    """
    channels = [c for c in range(image.shape[0]) if c not in mask_channels]
    if not channels:
        return image
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(len(channels), 2, generator=generator)
    brightness = torch.randn(len(channels), generator=generator) * settings.brightness
    if image.device.type != "cpu":
        generator = torch.Generator(image.device).manual_seed(seed)
    noise = torch.randn(len(channels), *image.shape[1:], generator=generator, device=image.device)
    contrast, strength = 1 + (2 * draw[:, 0] - 1) * settings.contrast, draw[:, 1] * settings.noise
    contrast, brightness, strength = (v.to(image.device)[:, None, None, None] for v in (contrast, brightness, strength))
    noise = noise * strength
    chosen = image[channels]
    mean = chosen.mean(dim=(1, 2, 3), keepdim=True)
    image = image.clone()
    image[channels] = (chosen - mean) * contrast + mean + brightness + noise
    return image

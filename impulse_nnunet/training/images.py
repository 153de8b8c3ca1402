"""Random intensities of the network's input, on the training device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from impulse_nnunet.settings import AugmentationSettings

# shares of the images that are changed in each way, as in nnU-Net (per channel)
BLURRED, REDUCED, CURVED = 0.1, 0.125, 0.4
INVERTED = 0.25  # of the curved ones
SMALLEST_RANGE = 1e-7
LESS_SHARP = 1  # of the random numbers: apart from all others of the seed


def random_intensities(
    image: Tensor, seed: int, settings: AugmentationSettings, mask_channels: Sequence[int]
) -> Tensor:
    """Change contrast, brightness and noise of each channel that is not a mask; some are blurred, reduced or curved.

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
    changed = (chosen - mean) * contrast + mean + brightness + noise
    draws = np.random.default_rng([seed, LESS_SHARP]).random((len(channels), 7))  # they decide, so not on the device
    image[channels] = torch.stack([_less_sharp(*pair, settings) for pair in zip(changed, draws, strict=True)])
    return image


def blurred(channel: Tensor, deviation: float) -> Tensor:
    """A channel (d, h, w) after a Gaussian filter; ``deviation`` in voxels, the outermost values go on outside."""
    radius = max(1, math.ceil(3 * deviation))
    offsets = torch.arange(-radius, radius + 1, dtype=channel.dtype, device=channel.device)
    weights = torch.exp(-0.5 * (offsets / deviation) ** 2)
    weights = weights / weights.sum()
    volume = channel[None, None]
    for axis in range(3):
        shape, pad = [1, 1, 1], [0] * 6
        shape[axis] = len(weights)
        pad[4 - 2 * axis] = pad[5 - 2 * axis] = radius  # the last axis comes first
        volume = functional.conv3d(functional.pad(volume, pad, mode="replicate"), weights.reshape(1, 1, *shape))
    return volume[0, 0]


def reduced(channel: Tensor, scale: float) -> Tensor:
    """A channel (d, h, w) as fewer voxels would show it: every axis to ``scale`` of its voxels, and back."""
    size = [max(1, round(n * scale)) for n in channel.shape]
    small = functional.interpolate(channel[None, None], size=size, mode="nearest")
    return functional.interpolate(small, size=list(channel.shape), mode="trilinear", align_corners=False)[0, 0]


def curved(channel: Tensor, exponent: float, invert: bool = False) -> Tensor:
    """A channel (d, h, w) after a gamma curve over its range; mean and standard deviation stay what they were."""
    if invert:
        return -curved(-channel, exponent)
    low, mean, deviation = channel.min(), channel.mean(), channel.std()
    width = (channel.max() - low).clamp_min(SMALLEST_RANGE)
    bent = ((channel - low) / width).clamp(0, 1) ** exponent
    return (bent - bent.mean()) / bent.std().clamp_min(SMALLEST_RANGE) * deviation + mean


def _less_sharp(channel: Tensor, draw: np.ndarray, settings: AugmentationSettings) -> Tensor:
    """Blur, reduce and curve a channel, where the draw (7 numbers in [0, 1)) and the settings say so."""
    if settings.blur > 0 and draw[0] < BLURRED:
        channel = blurred(channel, settings.blur * (1 + draw[1]) / 2)
    if settings.low_resolution > 0 and draw[2] < REDUCED:
        channel = reduced(channel, 1 - settings.low_resolution * draw[3])
    if settings.gamma > 0 and draw[4] < CURVED:
        exponent = (1 + settings.gamma) ** (2 * draw[5] - 1)
        channel = curved(channel, exponent, invert=draw[6] < INVERTED)
    return channel

"""A batch of samples on the training device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impulse_nnunet.settings import ImPulSeSettings
from impulse_nnunet.training.batches import Sample
from impulse_nnunet.training.images import image_on_box, random_intensities


def network_inputs(
    batch: Sequence[Sample], grid: Sequence[int], settings: ImPulSeSettings, device: torch.device, augment: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Images on a grid in their boxes, points and labels; call it outside autocast, which would round positions.

    Args:
        batch: Samples.
        grid: (d, h, w) voxels in each box.
        settings: Of the plans.
        device: Where to train.
        augment: Change intensities at random.

    Returns:
        (batch, channel, d, h, w) float32, (batch, point, 3) float32 and (batch, point) int64.
    """
    images = []
    for sample in batch:
        image = image_on_box(sample.volume.to(device, non_blocking=True), sample.box, grid)
        if augment:
            image = random_intensities(image, sample.seed, settings.augmentation, settings.fixed_channels)
        images.append(image)
    points = torch.stack([sample.points for sample in batch]).to(device, non_blocking=True)
    labels = torch.stack([sample.labels for sample in batch]).to(device, non_blocking=True)
    return torch.stack(images), points, labels

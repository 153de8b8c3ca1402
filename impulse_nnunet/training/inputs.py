"""From the samples of a step to tensors on the training device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from impulse_nnunet.geometry.resampling import images_on_boxes
from impulse_nnunet.settings import ImPulSeSettings
from impulse_nnunet.training.batches import Sample
from impulse_nnunet.training.images import random_intensities


@dataclass(frozen=True, kw_only=True)
class NetworkBatch:
    """What one step needs, on the training device.

    Args:
        images: (batch, channel, d, h, w) float32, on the input grid in each box.
        points: (batch, point, 3) float32 box positions; None: all voxel centres of the input grid.
        labels: (batch, point) int64.
        search_images: (batch, channel, d, h, w) float32, whole images for the localizer, if there is one.
        search_points: (batch, point, 3) float32, the localizer's.
        foreground: (batch, point) int64, the localizer's labels.
    """

    images: Tensor
    points: Tensor | None
    labels: Tensor
    search_images: Tensor | None = None
    search_points: Tensor | None = None
    foreground: Tensor | None = None

    @property
    def search(self) -> tuple[Tensor, Tensor] | None:
        """Images and points for the localizer, if there is one."""
        if self.search_images is None or self.search_points is None:
            return None
        return self.search_images, self.search_points

    def tensors(self) -> list[Tensor]:
        """All that there are."""
        return [value for value in (getattr(self, field.name) for field in fields(self)) if value is not None]


@dataclass(frozen=True)
class InputMaker:
    """Makes the tensors of a batch; nothing in it follows torch's own random numbers.

    Args:
        settings: Settings of the plans.
        device: Where to train.
        augment: Change intensities at random.
    """

    settings: ImPulSeSettings
    device: torch.device
    augment: bool

    def __call__(self, batch: Sequence[Sample]) -> NetworkBatch:
        """The batch's tensors; call it outside autocast, which would round positions."""
        volumes: dict[int, Tensor] = {}  # each is uploaded once, for the network, the localizer, and any other sample
        for sample in batch:
            if id(sample.volume) not in volumes:
                volumes[id(sample.volume)] = sample.volume.to(self.device, non_blocking=True)
        settings = self.settings
        images, points, labels = self._part(batch, volumes, settings.grid.input_grid)
        main = NetworkBatch(images=images, points=points, labels=labels)
        searches = [sample.search for sample in batch if sample.search is not None]
        if settings.search_grid is None:
            return main
        images, points, labels = self._part(searches, volumes, settings.search_grid)
        return replace(main, search_images=images, search_points=points, foreground=labels)

    def _part(
        self, batch: Sequence[Sample], volumes: dict[int, Tensor], grid: Sequence[int]
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Images on a grid (d, h, w) in their boxes, points and labels."""
        images = images_on_boxes([volumes[id(s.volume)] for s in batch], [s.box for s in batch], grid)
        if self.augment:
            for image, sample in zip(images, batch, strict=True):
                image.copy_(
                    random_intensities(image, sample.seed, self.settings.augmentation, self.settings.fixed_channels)
                )
        points = [sample.points for sample in batch if sample.points is not None]
        labels = self._upload([sample.labels for sample in batch])
        return images, self._upload(points) if points else None, labels

    def _upload(self, tensors: Sequence[Tensor]) -> Tensor:
        """One tensor of the samples', on the device."""
        together = torch.stack(list(tensors))
        if self.device.type == "cuda":
            together = together.pin_memory()
        return together.to(self.device, non_blocking=True)

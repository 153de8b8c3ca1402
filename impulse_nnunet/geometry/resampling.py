"""Working volumes on the input grids of boxes, deformed ones too: one interpolation each, where the volume lies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.geometry.coordinates import grid_points, sample_points
from impulse_nnunet.geometry.deformation import DeformedBox

AT_ONCE_BYTES = 256 * 2**20  # of volumes in float32


def image_on_box(volume: Tensor, box: Box, input_grid: Sequence[int]) -> Tensor:
    """Interpolate a working volume (channel, d, h, w) on the input grid of a box: (channel, *input_grid) float32."""
    return sample_points(volume[None].float(), _centres(box, input_grid, volume.device)[None])[0]


def images_on_boxes(volumes: Sequence[Tensor], boxes: Sequence[Box], input_grid: Sequence[int]) -> Tensor:
    """:func:`image_on_box` of each volume: (batch, channel, *input_grid) float32.

    On a GPU small volumes of one shape are interpolated at once, which saves launches; elsewhere one after the other,
    which saves memory: large ones would take more of it, in float32, than a small GPU has beside a training step.
    """
    small = sum(volume.numel() for volume in volumes) * 4 <= AT_ONCE_BYTES
    if volumes[0].device.type == "cpu" or not small or len({volume.shape for volume in volumes}) > 1:
        return torch.stack([image_on_box(v, box, input_grid) for v, box in zip(volumes, boxes, strict=True)])
    return images_at_once(volumes, boxes, input_grid)


def images_at_once(volumes: Sequence[Tensor], boxes: Sequence[Box], input_grid: Sequence[int]) -> Tensor:
    """:func:`images_on_boxes` in one interpolation; the volumes have one shape."""
    centres = torch.stack([_centres(box, input_grid, volumes[0].device) for box in boxes])
    return sample_points(torch.stack(list(volumes)).float(), centres)


def _centres(box: Box, input_grid: Sequence[int], device: torch.device) -> Tensor:
    """Image positions of the voxel centres of a box's grid: (d, h, w, 3) float32."""
    matrix = torch.as_tensor(box.matrix, dtype=torch.float32, device=device)
    centre = torch.as_tensor(box.centre, dtype=torch.float32, device=device)
    points = grid_points(input_grid, device=device)
    if isinstance(box, DeformedBox):
        points = box.deformation.on(points)
    return points @ matrix.T + centre

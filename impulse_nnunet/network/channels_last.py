"""Layers that leave channels-last memory as it is on the CPU, where PyTorch's own would copy it there and back.

The values are the same up to the order of sums; off the CPU, and for other memory, PyTorch's own layers run.
Convolutions in bfloat16 want this layout, and at 128^3 the copies between two of them take longer than they do.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class InstanceNorm(nn.InstanceNorm3d):
    """Instance norm: batch norm of each sample alone."""

    def forward(self, input: Tensor) -> Tensor:
        """(batch, channel, d, h, w), the same."""
        if not is_channels_last(input) or self.track_running_stats:
            return super().forward(input)
        samples = [
            functional.batch_norm(sample, None, None, self.weight, self.bias, training=True, eps=self.eps)
            for sample in input.split(1)
        ]
        return samples[0] if len(samples) == 1 else torch.cat(samples)


class AveragePool(nn.AvgPool3d):
    """Average over blocks that do not overlap: planes first, then between planes."""

    def __init__(self, stride: int | Sequence[int]) -> None:
        d, h, w = (stride,) * 3 if isinstance(stride, int) else stride
        super().__init__((d, h, w), (d, h, w))
        self.block = (d, h, w)

    def forward(self, input: Tensor) -> Tensor:
        """(batch, channel, d, h, w) to a part of that along each axis."""
        if not is_channels_last(input) or any(n % s for n, s in zip(input.shape[2:], self.block, strict=True)):
            return super().forward(input)
        depth, *plane = self.block
        planes = functional.avg_pool2d(input.transpose(1, 2).flatten(0, 1), plane, plane)
        blocks = planes.unflatten(0, (len(input), -1, depth)).unbind(2)
        total = blocks[0]
        for block in blocks[1:]:
            total = total + block
        return total.div(depth).transpose(1, 2)


def is_channels_last(volume: Tensor) -> bool:
    """Whether a volume lies in main memory channels last, and only so."""
    on_cpu = volume.device.type == "cpu"
    return on_cpu and volume.is_contiguous(memory_format=torch.channels_last_3d) and not volume.is_contiguous()


def channels_last(image: Tensor) -> Tensor:
    """A copy with channels last; of one channel too, where both layouts are the same and PyTorch takes the other."""
    return torch.empty_like(image, memory_format=torch.channels_last_3d).copy_(image)

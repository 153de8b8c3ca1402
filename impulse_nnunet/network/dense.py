"""Dense rivals: an encoder that ends in logits on the whole input grid (paper, Table 1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from impulse_nnunet.network.encoder import NORMS
from impulse_nnunet.network.precision import full_precision

ATROUS_SHARES = tuple(rate / 33 for rate in (6, 12, 18))  # DeepLabv3's rates on its feature map of 33 x 33


class DenseNetwork(nn.Module):
    """A feature pyramid and a head that makes logits from it; the head's last step stays in float32.

    Args:
        pyramid: Image -> feature maps, finest first.
        head: Its ``features`` take the pyramid, its ``logits`` what they return; the latter on the input grid.
    """

    def __init__(self, pyramid: nn.Module, head: DenseHead) -> None:
        super().__init__()
        self.pyramid = pyramid
        self.head: DenseHead = head

    def forward(self, image: Tensor) -> list[Tensor]:
        """(batch, channel, d, h, w) -> [(batch, class, d, h, w) float32]."""
        features = self.head.features(self.pyramid(image))
        with full_precision(image.device):
            return [self.head.logits(features.float(), image.shape[2:])]


class DenseHead(nn.Module):
    """One convolution of a level's features: what nnU-Net calls a segmentation layer."""

    level = 0  # of the pyramid; 0 is the finest
    title = "1^3 convolution of the finest level"

    def __init__(self, channels: int, number_of_classes: int) -> None:
        super().__init__()
        self.to_classes = nn.Conv3d(channels, number_of_classes, 1)

    def features(self, pyramid: Sequence[Tensor]) -> Tensor:
        """What the logits are made from; in whatever precision the encoder runs."""
        return pyramid[self.level]

    def logits(self, features: Tensor, grid: Sequence[int]) -> Tensor:
        """Logits on the input grid (d, h, w)."""
        return self.to_classes(features)


class FCNHead(DenseHead):
    """FCN (Long et al. 2015): logits of the last level, enlarged by a transposed convolution that starts as tri-linear.

    Args:
        channels: Channels of the last level.
        number_of_classes: Background included.
        stride: (d, h, w) of the last level against the input grid.
    """

    level = -1
    title = "1^3 convolution of the last level, transposed convolution to the input grid"

    def __init__(self, channels: int, number_of_classes: int, stride: Sequence[int]) -> None:
        super().__init__(channels, number_of_classes)
        kernel = triple(2 * s - s % 2 for s in stride)
        padding = triple(s // 2 for s in stride)
        self.enlarge = nn.ConvTranspose3d(
            number_of_classes, number_of_classes, kernel, triple(stride), padding, bias=False
        )
        with torch.no_grad():
            linear = torch.einsum("i,j,k->ijk", *[_triangle(n, s) for n, s in zip(kernel, stride, strict=True)])
            self.enlarge.weight.zero_()
            for label in range(number_of_classes):
                self.enlarge.weight[label, label] = linear

    def logits(self, features: Tensor, grid: Sequence[int]) -> Tensor:
        """See :class:`DenseHead`."""
        return self.enlarge(self.to_classes(features))


def triple(values: Iterable[int]) -> tuple[int, int, int]:
    """Three numbers as a tuple, the way torch's types want them."""
    d, h, w = values
    return d, h, w


def _triangle(kernel: int, stride: int) -> Tensor:
    """Weights of linear interpolation: 1 at the kernel's centre, 0 one stride away."""
    distance = torch.arange(kernel) - (kernel - 1) / 2
    return 1 - distance.abs() / stride


class DeepLabHead(DenseHead):
    """DeepLabv3 (Chen et al. 2017): atrous convolutions at several rates beside a pooled branch, enlarged tri-linearly.

    Args:
        channels: Channels of the last level; half as many in the head, as DeepLabv3 has on a ResNet-18.
        number_of_classes: Background included.
        size: (d, h, w) of the last level; the rates are the shares of it that DeepLabv3's are of its own.
        norm: ``instance`` or ``batch``.
    """

    level = -1
    title = "atrous spatial pyramid pooling of the last level, tri-linear to the input grid"

    def __init__(self, channels: int, number_of_classes: int, size: Sequence[int], norm: str) -> None:
        width = max(1, channels // 2)
        super().__init__(width, number_of_classes)
        rates = [[max(1, round(share * n)) for n in size] for share in ATROUS_SHARES]
        self.branches = nn.ModuleList(
            [_normed(channels, width, 1, [1, 1, 1], norm), *(_normed(channels, width, 3, rate, norm) for rate in rates)]
        )
        # no norm here: there is one value a channel
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Conv3d(channels, width, 1), nn.ReLU(inplace=True))
        self.project = _normed(width * (len(self.branches) + 1), width, 1, [1, 1, 1], norm)

    def features(self, pyramid: Sequence[Tensor]) -> Tensor:
        """See :class:`DenseHead`."""
        level = pyramid[self.level]
        branches = [branch(level) for branch in self.branches]
        return self.project(torch.cat([*branches, self.pooled(level).expand_as(branches[0])], dim=1))

    def logits(self, features: Tensor, grid: Sequence[int]) -> Tensor:
        """See :class:`DenseHead`."""
        small = self.to_classes(features)
        return functional.interpolate(small, size=list(grid), mode="trilinear", align_corners=False)


def _normed(channels: int, width: int, kernel: int, rate: Sequence[int], norm: str) -> nn.Sequential:
    padding = triple(r * (kernel // 2) for r in rate)
    convolution = nn.Conv3d(channels, width, kernel, padding=padding, dilation=triple(rate), bias=False)
    return nn.Sequential(convolution, NORMS[norm](width, affine=True), nn.ReLU(inplace=True))

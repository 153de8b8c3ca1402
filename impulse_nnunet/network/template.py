"""The template: a volume of logits that all cases share, and the network that generates it in pre-training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from impulse_nnunet.geometry.coordinates import sample_points

LATENT_SIZE = 1024
CHANNELS = (1024, 512, 256, 128, 64, 32)


class Template(nn.Module):
    """Logits on the template grid, a buffer: fixed while the network trains, and part of its checkpoint.

    Args:
        number_of_classes: Classes, background included.
        grid: Size (d, h, w), voxels.
    """

    def __init__(self, number_of_classes: int, grid: Sequence[int]) -> None:
        super().__init__()
        self.logits: Tensor
        self.register_buffer("logits", torch.zeros(1, number_of_classes, *grid))

    @property
    def number_of_classes(self) -> int:
        """Classes, background included."""
        return self.logits.shape[1]

    def set_logits(self, logits: Tensor) -> None:
        """Fix the template: (class, d, h, w) logits on the template grid."""
        if logits.shape != self.logits.shape[1:]:
            raise ValueError(
                f"template logits have shape {tuple(logits.shape)}, expected {tuple(self.logits.shape[1:])}"
            )
        self.logits.copy_(logits[None])

    def forward(self, positions: Tensor) -> Tensor:
        """Template logits at positions (batch, point, 3) in [-1, 1]: (batch, point, class), tri-linear."""
        return self._at(self.logits, positions)

    @staticmethod
    def _at(logits: Tensor, positions: Tensor) -> Tensor:
        values = sample_points(logits, positions.reshape(1, -1, 3))
        return values[0].T.reshape(positions.shape[0], -1, logits.shape[1])


class TemplateGenerator(nn.Module):
    """The paper's template network: a latent code of 1024 and a shallow convolutional decoder (section 4.3).

    A 2-fold tri-linear enlargement comes before the first convolution and after each; on a 128^3 grid with 19 classes
    the module has the release's 47 173 209 parameters, the code included.

    Args:
        number_of_classes: Classes, background included.
        grid: Size (d, h, w) of the template, voxels.
    """

    def __init__(self, number_of_classes: int, grid: Sequence[int]) -> None:
        super().__init__()
        self.code = nn.Parameter(torch.randn(1, LATENT_SIZE, 1, 1, 1))
        widths = (LATENT_SIZE, *CHANNELS)
        self.convolutions = nn.ModuleList(_block(a, b, 3) for a, b in zip(widths, CHANNELS, strict=False))
        self.to_classes = nn.Sequential(
            nn.Conv3d(CHANNELS[-1], number_of_classes, 1), nn.BatchNorm3d(number_of_classes)
        )
        doublings = len(CHANNELS)
        self.sizes = [[max(2, math.ceil(n / 2 ** (doublings - level))) for n in grid] for level in range(doublings)]
        self.sizes.append(list(grid))

    def forward(self) -> Tensor:
        """The template's logits: (1, class, d, h, w)."""
        features = self.code
        for size, convolution in zip(self.sizes, self.convolutions, strict=False):
            features = convolution(_enlarge(features, size))
        return self.to_classes(_enlarge(features, self.sizes[-1]))


class CoTrainedTemplate(Template):
    """A template whose generator is trained with the network (paper, Table 2, second row).

    In training the generator makes the logits in each step. In evaluation the buffer is used, which is filled when
    the module leaves training and when its state is saved; so a checkpoint always holds the template of its generator.

    Args:
        number_of_classes: Classes, background included.
        grid: Size (d, h, w), voxels.
    """

    def __init__(self, number_of_classes: int, grid: Sequence[int]) -> None:
        super().__init__(number_of_classes, grid)
        self.generator = TemplateGenerator(number_of_classes, grid)

    def train(self, mode: bool = True) -> CoTrainedTemplate:
        """Switch between training and evaluation; leaving training fixes the logits."""
        if self.training and not mode:
            self._fix()
        super().train(mode)
        return self

    def forward(self, positions: Tensor) -> Tensor:
        """See :class:`Template`."""
        return self._at(self.generator().float() if self.training else self.logits, positions)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        if self.training:
            self._fix()
        super()._save_to_state_dict(destination, prefix, keep_vars)

    @torch.no_grad()
    def _fix(self) -> None:
        """Fill the buffer with what the generator makes in evaluation."""
        was_training = self.generator.training
        self.generator.eval()
        self.logits.copy_(self.generator())
        self.generator.train(was_training)


def _block(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
        nn.BatchNorm3d(out_channels),
        nn.LeakyReLU(0.01, inplace=True),
    )


def _enlarge(features: Tensor, size: Sequence[int]) -> Tensor:
    return functional.interpolate(features, size=list(size), mode="trilinear", align_corners=False)

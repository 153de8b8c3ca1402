"""ImPulSe+: H(X, p) = T(p + D(f(X), p)) + C(f(X), p) (paper, Eq. 9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from impulse_nnunet.coordinates import sample_points
from impulse_nnunet.network.template import Template


class PointPrediction(NamedTuple):
    """What the decoder says of points.

    Args:
        logits: (batch, point, class).
        displacement: (batch, point, 3) in (d, h, w) order, box units: the box is 2 wide along each axis.
    """

    logits: Tensor
    displacement: Tensor


class PointDecoder(nn.Module):
    """Point encoding, both heads and the template: logits at any point of an encoded box.

    Args:
        deformation: Head D, point encoding -> 3.
        correction: Head C, point encoding -> classes.
        template: T, positions -> logits.
    """

    def __init__(self, deformation: nn.Module, correction: nn.Module, template: Template) -> None:
        super().__init__()
        self.deformation, self.correction = deformation, correction
        self.template: Template = template

    @property
    def number_of_classes(self) -> int:
        """Classes, background included."""
        return self.template.number_of_classes

    def forward(self, pyramid: Sequence[Tensor], points: Tensor) -> PointPrediction:
        """Decode points (batch, point, 3) in [-1, 1] of the box that the pyramid was made from."""
        encoding = self.encode_points(pyramid, points)
        displacement = torch.tanh(self.deformation(encoding))
        logits = self.template(points + displacement) + self.correction(encoding)
        return PointPrediction(logits, displacement)

    @staticmethod
    def encode_points(pyramid: Sequence[Tensor], points: Tensor) -> Tensor:
        """F(p): tri-linear features of every level at p, and p itself: (batch, point, channels + 3), float32."""
        features = [sample_points(level.float(), points).transpose(1, 2) for level in pyramid]
        return torch.cat([*features, points], dim=-1)


class ImPulSeNet(nn.Module):
    """Encoder and point decoder.

    Args:
        encoder: Image (batch, channel, d, h, w) -> list of feature maps; any module with that ``forward`` fits.
        decoder: Feature maps and points -> :class:`PointPrediction`.
        encoder_bfloat16: Run the encoder in bfloat16, channels last: the fast way on CPUs with AVX-512 BF16.
    """

    def __init__(self, encoder: nn.Module, decoder: PointDecoder, encoder_bfloat16: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder: PointDecoder = decoder
        self.encoder_bfloat16 = encoder_bfloat16

    def encode(self, image: Tensor) -> list[Tensor]:
        """The feature pyramid of (batch, channel, d, h, w) images on the input grid."""
        if not self.encoder_bfloat16 or image.device.type != "cpu":
            return self.encoder(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.encoder(image.contiguous(memory_format=torch.channels_last_3d))

    def forward(self, image: Tensor, points: Tensor | None = None) -> PointPrediction:
        """Decode points (batch, point, 3) in [-1, 1] of images (batch, channel, d, h, w) on the input grid.

        Raises:
            TypeError: Without points. An implicit network has no dense output of its own; a sliding-window predictor
                that was not routed here would otherwise write nonsense.
        """
        if points is None:
            raise TypeError(
                "ImPulSeNet was called with an image and no points, expected both; this network is no sliding-window "
                "network: predict with impulse_nnunet, or import impulse_nnunet.trainers before nnUNetPredictor runs"
            )
        return self.decoder(self.encode(image), points)

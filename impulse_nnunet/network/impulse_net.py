"""ImPulSe+: H(X, p) = T(p + D(f(X), p)) + C(f(X), p) (paper, Eq. 9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from impulse_nnunet.geometry.coordinates import sample_points
from impulse_nnunet.network.channels_last import channels_last
from impulse_nnunet.network.precision import encoder_autocast, full_precision
from impulse_nnunet.network.shallow import ShallowPadded
from impulse_nnunet.network.template import Template
from impulse_nnunet.network.weight_names import rename_before_loading


class PointPrediction(NamedTuple):
    """What the decoder says of points.

    Args:
        logits: (batch, point, class).
        displacement: (batch, point, 3) in (d, h, w) order, box units: the box is 2 wide along each axis.
    """

    logits: Tensor
    displacement: Tensor


class PointDecoder(nn.Module):
    """Point encoding, heads and template: logits at any point of an encoded box.

    Parts that are None are left out of Eq. 9; the correction alone is ImPulSe, the first version of the method.

    Args:
        deformation: Head D, point encoding -> 3; needs the template.
        correction: Head C, point encoding -> classes.
        template: T, positions -> logits.
        number_of_classes: Background included; the template's, if it is not given.
    """

    def __init__(
        self,
        deformation: nn.Module | None,
        correction: nn.Module | None,
        template: Template | None,
        number_of_classes: int | None = None,
    ) -> None:
        super().__init__()
        if number_of_classes is None:
            if template is None:
                raise TypeError("number_of_classes is missing, expected it where there is no template")
            number_of_classes = template.number_of_classes
        self.number_of_classes = number_of_classes
        self.deformation, self.correction = deformation, correction
        self.template: Template | None = template

    @property
    def moves_points(self) -> bool:
        """Whether there is a displacement to speak of."""
        return self.deformation is not None

    def forward(self, pyramid: Sequence[Tensor], points: Tensor) -> PointPrediction:
        """Decode points (batch, point, 3) in [-1, 1] of the box that the pyramid was made from."""
        encoding = self.encode_points(pyramid, points)
        displacement = torch.zeros_like(points) if self.deformation is None else torch.tanh(self.deformation(encoding))
        terms = [] if self.template is None else [self.template(points + displacement)]
        terms += [] if self.correction is None else [self.correction(encoding)]
        return PointPrediction(terms[0] if len(terms) == 1 else terms[0] + terms[1], displacement)

    @staticmethod
    def encode_points(pyramid: Sequence[Tensor], points: Tensor) -> Tensor:
        """F(p): tri-linear features of every level at p, and p itself: (batch, point, channels + 3), float32."""
        features = [sample_points(level.float(), points).transpose(1, 2) for level in pyramid]
        return torch.cat([*features, points], dim=-1)


class DenseDecoder(nn.Module):
    """The decoder of a network whose encoder ends in logits on the input grid: tri-linear interpolation, no parameters.

    Args:
        number_of_classes: Background included.
    """

    moves_points = False

    def __init__(self, number_of_classes: int) -> None:
        super().__init__()
        self.number_of_classes = number_of_classes

    def forward(self, pyramid: Sequence[Tensor], points: Tensor | None) -> PointPrediction:
        """Logits of ``[(batch, class, d, h, w)]`` at points (batch, point, 3); nothing is displaced.

        Without points, those of all voxels of the input grid, in order: there is nothing to interpolate.
        """
        logits = pyramid[0].float()
        if points is None:
            values = logits.flatten(2)
            return PointPrediction(values.transpose(1, 2), values.new_zeros(1).expand(len(values), values.shape[2], 3))
        return PointPrediction(sample_points(logits, points).transpose(1, 2), torch.zeros_like(points))


Decoder = PointDecoder | DenseDecoder


class ImPulSeNet(nn.Module):
    """Encoder and point decoder.

    Args:
        encoder: Image (batch, channel, d, h, w) -> list of feature maps, finest first; any module with that ``forward``
            fits. A dense network is an encoder whose only feature map is its logits.
        decoder: Feature maps and points -> :class:`PointPrediction`.
        encoder_bfloat16: Run the encoder in bfloat16, channels last: the fast way on CPUs with AVX-512 BF16.
        context: Changes the coarsest feature map, size kept; None: it stays.

    ``localizer``, where there is one, says where in a whole image the foreground is; it shares no weights.
    """

    def __init__(
        self, encoder: nn.Module, decoder: Decoder, encoder_bfloat16: bool = False, context: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.context = context
        self.decoder: Decoder = decoder
        self.encoder_bfloat16 = encoder_bfloat16
        self.localizer: ImPulSeNet | None = None
        self.register_load_state_dict_pre_hook(rename_before_loading)
        self.origin = ""  # where the first weights come from, in words; empty: random

    def encode(self, image: Tensor) -> list[Tensor]:
        """The feature pyramid of (batch, channel, d, h, w) images on the input grid; on CUDA in half precision."""
        if image.device.type != "cpu":
            with encoder_autocast(image.device):
                return self.pyramid(image)
        with ShallowPadded():
            if not self.encoder_bfloat16:
                return self.pyramid(image)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return self.pyramid(channels_last(image))

    def pyramid(self, image: Tensor) -> list[Tensor]:
        """As :meth:`encode`, in the precision that is on."""
        levels: list[Tensor] = self.encoder(image)
        return levels if self.context is None else [*levels[:-1], self.context(levels[-1])]

    def forward(
        self,
        image: Tensor,
        points: Tensor | None = None,
        search: Sequence[Tensor] | None = None,
        at_voxels: bool = False,
    ) -> PointPrediction | tuple[PointPrediction, PointPrediction]:
        """Decode points (batch, point, 3) in [-1, 1] of images (batch, channel, d, h, w) on the input grid.

        Points, heads and template are float32, whatever precision the encoder has and whatever autocast is on.

        Args:
            image: See above.
            points: See above.
            search: Images on the localizer's grid and points; its prediction comes second.
            at_voxels: Of a dense network in place of points: all voxels of the input grid, in order.

        Raises:
            TypeError: Without points. An implicit network has no dense output of its own; a sliding-window predictor
                that was not routed here would otherwise write nonsense.
        """
        if points is None and not (at_voxels and isinstance(self.decoder, DenseDecoder)):
            raise TypeError(
                "ImPulSeNet was called with an image and no points, expected both; this network is not a sliding-window"
                " network: predict with impulse_nnunet, or import impulse_nnunet.trainers before nnUNetPredictor runs"
            )
        pyramid = self.encode(image)
        with full_precision(image.device):
            prediction = self.decoder(pyramid, points)
        if search is None or self.localizer is None:
            return prediction
        return prediction, self.localizer(*search)

"""Ways to evaluate points; all give H(X, p) = T(p + D(f(X), p)) + C(f(X), p) (paper, Eq. 9).

:class:`PlainPoints` calls the network's own decoder. :class:`~impulse_nnunet.decoding.folded.FoldedPoints` uses that
interpolation and a linear layer commute: the first layers of both heads are applied to the pyramid once, so that a
point gathers their few outputs in place of all channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from impulse_nnunet.decoding.dense_points import DensePoints
from impulse_nnunet.decoding.folded import FoldedPoints
from impulse_nnunet.network import Decoder, DenseDecoder
from impulse_nnunet.network.heads import PointHead


class Points(Protocol):
    """Evaluates points of one encoded box."""

    number_of_classes: int

    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, class) and displacement (n, 3), float32, at box positions (n, 3) float32."""
        ...


class PlainPoints:
    """The network's decoder in PyTorch, on any device; whole volumes on a GPU start from its pyramid.

    Args:
        decoder: Heads and template.
        pyramid: Feature maps (1, channel, d, h, w), finest first; on a GPU they are kept in their own precision.
    """

    def __init__(self, decoder: Decoder, pyramid: Sequence[Tensor]) -> None:
        on_cpu = pyramid[0].device.type == "cpu"
        self.decoder, self.pyramid = decoder, [level.float() for level in pyramid] if on_cpu else list(pyramid)
        self.number_of_classes = decoder.number_of_classes

    @torch.inference_mode()
    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Points`."""
        positions = torch.from_numpy(points)[None].to(self.pyramid[0].device)
        prediction = self.decoder(self.pyramid, positions)
        return prediction.logits[0].float().cpu().numpy(), prediction.displacement[0].float().cpu().numpy()


def points_of(decoder: Decoder, pyramid: Sequence[Tensor]) -> Points:
    """The fastest way that fits the device and the decoder's parts."""
    if pyramid[0].device.type != "cpu":
        return PlainPoints(decoder, pyramid)  # volumes are decoded on the device, see device_volumes
    if isinstance(decoder, DenseDecoder):
        return DensePoints(pyramid[0])
    folds = all(isinstance(head, PointHead) for head in (decoder.deformation, decoder.correction))
    return FoldedPoints(decoder, pyramid) if folds and decoder.template is not None else PlainPoints(decoder, pyramid)

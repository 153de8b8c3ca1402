"""Two ways to evaluate points; both give H(X, p) = T(p + D(f(X), p)) + C(f(X), p) (paper, Eq. 9).

:class:`PlainPoints` calls the network's own decoder. :class:`FoldedPoints` uses that interpolation and a linear layer
commute: the first layers of both heads are applied to the coarse levels of the pyramid once, so that a point gathers
their few outputs in place of all channels. The finest level stays as it is, since there are fewer channels in it than
outputs in the first layers. Means that the layer norms subtract are linear too and are folded into the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from impulse_nnunet.decoding.dense_points import DensePoints
from impulse_nnunet.decoding.kernels import activate, add_interpolated
from impulse_nnunet.network import Decoder, DenseDecoder, PointDecoder
from impulse_nnunet.network.heads import PointHead

VECTOR = 16  # float32 values in the widest vector register; class dimensions are padded to it


class Points(Protocol):
    """Evaluates points of one encoded box."""

    number_of_classes: int

    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, class) and displacement (n, 3), float32, at box positions (n, 3) float32."""
        ...


class PlainPoints:
    """The network's decoder in PyTorch, on any device.

    Args:
        decoder: Of the network.
        pyramid: Feature maps (1, channel, d, h, w), finest first.
    """

    def __init__(self, decoder: Decoder, pyramid: Sequence[Tensor]) -> None:
        self.decoder, self.pyramid = decoder, list(pyramid)
        self.number_of_classes = decoder.number_of_classes

    @torch.inference_mode()
    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Points`."""
        positions = torch.from_numpy(points)[None].to(self.pyramid[0].device)
        prediction = self.decoder(self.pyramid, positions)
        return prediction.logits[0].float().cpu().numpy(), prediction.displacement[0].float().cpu().numpy()


@dataclass(frozen=True)
class Volume:
    """A volume with channels last.

    Args:
        values: (d * h * w, channel) float32, C-contiguous.
        size: (d, h, w).
    """

    values: np.ndarray
    size: tuple[int, int, int]

    @classmethod
    def of(cls, tensor: Tensor, channels: int | None = None) -> Volume:
        """From (channel, d, h, w); zeros fill up to ``channels``. Channels-last memory is used in place."""
        d, h, w = tensor.shape[1:]
        last = tensor.permute(1, 2, 3, 0).reshape(d * h * w, tensor.shape[0]).float()
        if channels is not None and channels > last.shape[1]:
            last = functional.pad(last, (0, channels - last.shape[1]))
        return cls(last.contiguous().numpy(), (d, h, w))

    def add_to(self, points: np.ndarray, result: np.ndarray) -> None:
        """Add the values at points to ``result`` (n, channel)."""
        add_interpolated(self.values, *self.size, points, result)


class FoldedPoints:
    """The decoder with the heads' first layers folded into the pyramid, on the CPU.

    Args:
        decoder: Heads (two :class:`~impulse_nnunet.network.heads.PointHead` of one width) and template.
        pyramid: Feature maps (1, channel, d, h, w) in main memory, finest first.
    """

    @torch.inference_mode()
    def __init__(self, decoder: PointDecoder, pyramid: Sequence[Tensor]) -> None:
        heads = [head for head in (decoder.deformation, decoder.correction) if isinstance(head, PointHead)]
        if len(heads) < 2 or decoder.template is None:
            raise TypeError("the heads are no PointHead, or there is no template, expected both; use PlainPoints")
        self.number_of_classes = classes = decoder.number_of_classes
        padded = -(-classes // VECTOR) * VECTOR
        weights = torch.cat([_centred(layer) for head in heads for layer in head.first_layers]).T
        *levels, positions = weights.split([*(level.shape[1] for level in pyramid), 3])
        self.finest = Volume.of(pyramid[0][0])
        self.first = torch.cat([levels[0], positions]).contiguous()
        self.coarse = [_projected(level[0], weight) for level, weight in zip(pyramid[1:], levels[1:], strict=True)]
        norms = [[parameter for norm in head.norms for parameter in (norm.weight, norm.bias)] for head in heads]
        self.norms = np.array([[part.float().numpy() for part in four] for four in norms])
        self.eps, self.slope = heads[0].norms[0].eps, heads[0].negative_slope
        self.deformation = _last(heads[0], 3)
        self.correction = _last(heads[1], padded)
        self.template = Volume.of(decoder.template.logits[0], padded)

    @torch.inference_mode()
    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Points`."""
        channels, number = self.finest.values.shape[1], len(points)
        encoding = np.zeros((number, channels + 3), np.float32)
        encoding[:, channels:] = points
        self.finest.add_to(points, encoding[:, :channels])
        hidden = (torch.from_numpy(encoding) @ self.first).numpy()
        for level in self.coarse:
            level.add_to(points, hidden)
        active = np.empty((2, number, self.norms.shape[2]), np.float32)
        activate(hidden, self.norms, self.eps, self.slope, active)
        displacement = torch.addmm(self.deformation[0], torch.from_numpy(active[0]), self.deformation[1]).tanh().numpy()
        logits = torch.addmm(self.correction[0], torch.from_numpy(active[1]), self.correction[1]).numpy()
        self.template.add_to(points + displacement, logits)
        return logits[:, : self.number_of_classes], displacement


def points_of(decoder: Decoder, pyramid: Sequence[Tensor]) -> Points:
    """The fastest way that fits the device and the decoder's parts."""
    if pyramid[0].device.type != "cpu":
        return PlainPoints(decoder, pyramid)
    if isinstance(decoder, DenseDecoder):
        return DensePoints(pyramid[0])
    folds = all(isinstance(head, PointHead) for head in (decoder.deformation, decoder.correction))
    if folds and decoder.template is not None:
        return FoldedPoints(decoder, pyramid)
    return PlainPoints(decoder, pyramid)


def _centred(layer: torch.nn.Linear) -> Tensor:
    """Weights whose outputs have mean zero: what the layer norm subtracts is taken out beforehand."""
    weight = layer.weight.float()
    return weight - weight.mean(0)


def _last(head: PointHead, size: int) -> tuple[Tensor, Tensor]:
    fill = (0, size - head.last.out_features)
    bias, weight = head.last.bias.float(), head.last.weight.float().T
    return functional.pad(bias, fill).contiguous(), functional.pad(weight, fill).contiguous()


def _projected(level: Tensor, weight: Tensor) -> Volume:
    channels, *size = level.shape
    last = level.permute(1, 2, 3, 0).reshape(-1, channels).float()
    return Volume((last @ weight).numpy(), (size[0], size[1], size[2]))

"""Folded points in PyTorch, for GPUs (docs/decoding.md, "Folding"); the same on any device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from impulse_nnunet.coordinates import sample_points
from impulse_nnunet.decoding.folded import centred_first_layers
from impulse_nnunet.network import PointDecoder


class DevicePoints:
    """The decoder with the heads' first layers applied to the coarse levels of the pyramid beforehand.

    The finest level has fewer channels than the layers have outputs and is multiplied point by point.

    Args:
        decoder: Heads (two :class:`~impulse_nnunet.network.heads.PointHead` of one width) and template.
        pyramid: Feature maps (1, channel, d, h, w), finest first.
    """

    @torch.inference_mode()
    def __init__(self, decoder: PointDecoder, pyramid: Sequence[Tensor]) -> None:
        self.heads, weights = centred_first_layers(decoder)
        self.decoder, self.finest = decoder, pyramid[0].float()
        self.number_of_classes = decoder.number_of_classes
        *levels, self.by_position = weights.split([*(level.shape[1] for level in pyramid), 3])
        self.by_features = levels[0]
        self.coarse = [
            torch.einsum("bcdhw,co->bodhw", level.float(), weight)
            for level, weight in zip(pyramid[1:], levels[1:], strict=True)
        ]

    @torch.inference_mode()
    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`~impulse_nnunet.decoding.point_decoders.Points`."""
        places = torch.from_numpy(points).to(self.finest.device)
        hidden = places @ self.by_position + sample_points(self.finest, places[None])[0].T @ self.by_features
        for level in self.coarse:
            hidden += sample_points(level, places[None])[0].T
        outputs = []
        for head, part in zip(self.heads, hidden.chunk(2, dim=1), strict=True):
            first, second = part.chunk(2, dim=1)
            norm, activation, dropout = head.hidden[1:]
            outputs.append(head.last(dropout(activation(norm(first))) + head.shortcut[1](second)))
        displacement = torch.tanh(outputs[0])
        logits = outputs[1]
        if self.decoder.template is not None:
            logits = logits + self.decoder.template((places + displacement)[None])[0]
        return logits.cpu().numpy(), displacement.cpu().numpy()

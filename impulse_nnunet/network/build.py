"""The one place that puts the parts together and knows the sizes."""

from __future__ import annotations

from functools import lru_cache

import torch

from impulse_nnunet.network.context import GlobalContext
from impulse_nnunet.network.encoders import build_encoder
from impulse_nnunet.network.heads import PointHead
from impulse_nnunet.network.impulse_net import ImPulSeNet, PointDecoder
from impulse_nnunet.network.settings import NetworkSettings
from impulse_nnunet.network.template import CoTrainedTemplate, Template


def build_network(
    settings: NetworkSettings, input_channels: int, number_of_classes: int, co_trained: bool = False
) -> ImPulSeNet:
    """Build ImPulSe+, or what the settings' switches leave of it.

    Args:
        settings: Sizes of the parts, and which there are.
        input_channels: Channels of the image.
        number_of_classes: Classes, background included.
        co_trained: Train the template's generator with the network.
    """
    encoder = build_encoder(settings, input_channels)
    encoding_size = sum(settings.features_per_stage) + 3

    def head(outputs: int) -> PointHead:
        return PointHead(encoding_size, settings.head_features, outputs, settings.head_dropout)

    kind = CoTrainedTemplate if co_trained else Template
    decoder = PointDecoder(
        head(3) if settings.deformation else None,
        head(number_of_classes) if settings.correction else None,
        kind(number_of_classes, settings.template_grid) if settings.template else None,
        number_of_classes,
    )
    blocks = settings.context_blocks
    context = GlobalContext(settings.features_per_stage[-1], blocks) if blocks else None
    return ImPulSeNet(encoder, decoder, encoder_bfloat16=cpu_has_bfloat16(), context=context)


@lru_cache(maxsize=1)
def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX-512 BF16 or AMX)."""
    checks = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return any(check() for check in checks if check is not None)

"""The one place that puts the parts together and knows the sizes."""

from __future__ import annotations

from functools import lru_cache

import torch

from impulse_nnunet.network.encoder import ResNetPyramid
from impulse_nnunet.network.heads import PointHead
from impulse_nnunet.network.impulse_net import ImPulSeNet, PointDecoder
from impulse_nnunet.network.settings import NetworkSettings
from impulse_nnunet.network.template import Template


def build_network(settings: NetworkSettings, input_channels: int, number_of_classes: int) -> ImPulSeNet:
    """Build ImPulSe+.

    Args:
        settings: Sizes of the parts.
        input_channels: Channels of the image.
        number_of_classes: Classes, background included.
    """
    encoder = ResNetPyramid(input_channels, settings)
    encoding_size = sum(encoder.output_channels) + 3
    decoder = PointDecoder(
        PointHead(encoding_size, settings.head_features, 3, settings.head_dropout),
        PointHead(encoding_size, settings.head_features, number_of_classes, settings.head_dropout),
        Template(number_of_classes, settings.template_grid),
    )
    return ImPulSeNet(encoder, decoder, encoder_bfloat16=cpu_has_bfloat16())


@lru_cache(maxsize=1)
def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX-512 BF16 or AMX)."""
    checks = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return any(check() for check in checks if check is not None)

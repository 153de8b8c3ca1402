"""The localizer: a small network that sees the whole image on a coarse grid and says where the foreground is."""

from __future__ import annotations

from dataclasses import replace

from impulse_nnunet.network.dense import DenseHead, DenseNetwork
from impulse_nnunet.network.encoders import build_encoder
from impulse_nnunet.network.impulse_net import DenseDecoder, ImPulSeNet
from impulse_nnunet.network.settings import NetworkSettings

SHARE_OF_WIDTH = 4  # the network's first stage is this many times as wide
SMALLEST_WIDTH = 8


def localizer_settings(settings: NetworkSettings) -> NetworkSettings:
    """nnU-Net's plain U-Net with the stages of a network and a quarter of its width."""
    width = max(SMALLEST_WIDTH, settings.features_per_stage[0] // SHARE_OF_WIDTH)
    features = tuple(width * 2**stage for stage in range(len(settings.strides)))
    return replace(settings, encoder="unet", features_per_stage=features, kernel_sizes=(), norm="instance")


def build_localizer(settings: NetworkSettings, input_channels: int, encoder_bfloat16: bool = False) -> ImPulSeNet:
    """Foreground against background on any grid that the strides divide.

    Args:
        settings: Settings of the network that it serves.
        input_channels: Channels of the image.
        encoder_bfloat16: See :class:`~impulse_nnunet.network.ImPulSeNet`.
    """
    own = localizer_settings(settings)
    encoder = DenseNetwork(build_encoder(own, input_channels), DenseHead(own.features_per_stage[0], 2))
    return ImPulSeNet(encoder, DenseDecoder(2), encoder_bfloat16)

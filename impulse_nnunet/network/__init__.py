"""The network, plain PyTorch: encoder, point encoding, heads and template; it knows nothing of nnU-Net."""

from impulse_nnunet.network.build import build_network
from impulse_nnunet.network.impulse_net import ImPulSeNet, PointDecoder, PointPrediction
from impulse_nnunet.network.settings import NetworkSettings
from impulse_nnunet.network.template import TemplateGenerator

__all__ = [
    "ImPulSeNet",
    "NetworkSettings",
    "PointDecoder",
    "PointPrediction",
    "TemplateGenerator",
    "build_network",
]

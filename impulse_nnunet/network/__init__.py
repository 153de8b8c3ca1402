"""The network, plain PyTorch: encoder, point encoding, heads and template; it knows nothing of nnU-Net."""

from impulse_nnunet.network.build import build_network
from impulse_nnunet.network.impulse_net import Decoder, DenseDecoder, ImPulSeNet, PointDecoder, PointPrediction
from impulse_nnunet.network.settings import NetworkSettings
from impulse_nnunet.network.systems import SYSTEMS, Task
from impulse_nnunet.network.template import TemplateGenerator

__all__ = [
    "SYSTEMS",
    "Decoder",
    "DenseDecoder",
    "ImPulSeNet",
    "NetworkSettings",
    "PointDecoder",
    "PointPrediction",
    "Task",
    "TemplateGenerator",
    "build_network",
]

"""The encoders that plans can name; each gives a pyramid of feature maps, finest first."""

from __future__ import annotations

import importlib
import inspect
from typing import Any, NoReturn

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from dynamic_network_architectures.building_blocks.plain_conv_encoder import PlainConvEncoder
from dynamic_network_architectures.initialization.weight_init import InitWeights_He
from torch import Tensor, nn

from impulse_nnunet.errors import InputError
from impulse_nnunet.network.encoder import NORMS, ResNetPyramid
from impulse_nnunet.network.settings import NetworkSettings

NEGATIVE_SLOPE = 1e-2  # of the activations; nnU-Net initialises for it
ENCODER_ARGUMENTS = {"features_per_stage", "strides", "return_skips"}
UNET_ARGUMENTS = {"features_per_stage", "strides", "n_conv_per_stage_decoder"}


class UNetPyramid(nn.Module):
    """A U-Net of ``dynamic_network_architectures`` whose levels on the way up are the pyramid, the deepest included.

    Args:
        unet: Its segmentation layers are left out.
    """

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.encoder: nn.Module = unet.encoder
        self.stages: nn.ModuleList = unet.decoder.stages
        self.transpconvs: nn.ModuleList = unet.decoder.transpconvs
        self.output_channels: list[int] = list(unet.encoder.output_channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(batch, channel, d, h, w) -> one feature map for each level, finest first."""
        *skips, level = self.encoder(image)
        pyramid = [level]
        for enlarge, stage, skip in zip(self.transpconvs, self.stages, reversed(skips), strict=True):
            pyramid.append(stage(torch.cat([enlarge(pyramid[-1]), skip], dim=1)))
        return pyramid[::-1]


def build_encoder(settings: NetworkSettings, input_channels: int) -> nn.Module:
    """The encoder of the settings: a module with ``output_channels`` that returns a feature pyramid.

    Raises:
        InputError: No such class, or none that makes a pyramid.
    """
    if settings.encoder == "resnet18":
        return ResNetPyramid(input_channels, settings)
    known = {"unet_encoder": PlainConvEncoder, "unet": PlainConvUNet}
    kind = known.get(settings.encoder) or _named_class(settings.encoder)
    parameters = set(inspect.signature(kind).parameters)
    arguments = _arguments(settings, input_channels, parameters)
    if parameters >= UNET_ARGUMENTS:
        convolutions = 1 if "n_blocks_per_stage" in parameters else 2  # nnU-Net's own choices
        arguments |= {"num_classes": 1, "n_conv_per_stage_decoder": [convolutions] * (len(settings.strides) - 1)}
        return UNetPyramid(kind(**arguments).apply(InitWeights_He(NEGATIVE_SLOPE)))
    if not parameters >= ENCODER_ARGUMENTS:
        _refuse(settings.encoder, "a class that makes no feature pyramid")
    return kind(**arguments, return_skips=True).apply(InitWeights_He(NEGATIVE_SLOPE))


def _arguments(settings: NetworkSettings, input_channels: int, parameters: set[str]) -> dict[str, object]:
    blocks = "n_blocks_per_stage" if "n_blocks_per_stage" in parameters else "n_conv_per_stage"
    return {
        "input_channels": input_channels,
        "n_stages": len(settings.features_per_stage),
        "features_per_stage": list(settings.features_per_stage),
        "conv_op": nn.Conv3d,
        "kernel_sizes": [list(kernel) for kernel in settings.kernels],
        "strides": [list(stride) for stride in settings.strides],
        blocks: list(settings.blocks_per_stage),
        "conv_bias": True,
        "norm_op": NORMS[settings.norm],
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"negative_slope": NEGATIVE_SLOPE, "inplace": True},
    }


def _named_class(name: str) -> type[nn.Module]:
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        _refuse(name, "no such class")
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        _refuse(name, "no network")
    return found


def _refuse(name: str, found: str) -> NoReturn:
    raise InputError(
        f"plans, architecture.arch_kwargs.encoder {name}",
        found,
        "resnet18, unet_encoder, unet, or a class like "
        "dynamic_network_architectures.building_blocks.residual_encoders.ResidualEncoder",
        "correct the plans file",
    )

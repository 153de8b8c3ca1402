"""The systems that the paper compares, by name; each is an :class:`~impulse_nnunet.network.ImPulSeNet`.

All share encoder, point interface and sizes, so that one trainer and one decoder serve them. A system differs from the
next in the parts that it is put together from, and in nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import nn

from impulse_nnunet.errors import InputError
from impulse_nnunet.network.build import build_network, cpu_has_bfloat16
from impulse_nnunet.network.dense import DeepLabHead, DenseHead, DenseNetwork, FCNHead
from impulse_nnunet.network.encoders import build_encoder
from impulse_nnunet.network.impulse_net import DenseDecoder, ImPulSeNet
from impulse_nnunet.network.localizer import build_localizer
from impulse_nnunet.network.settings import NetworkSettings
from impulse_nnunet.network.topology import nnunet_settings


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a network is built for.

    Args:
        settings: Sizes and switches of the plans.
        input_channels: Channels of the image.
        number_of_classes: Background included.
        input_grid: (d, h, w), voxels.
        spacing_mm: (d, h, w) of the input grid.
        co_trained: Whether the template is trained with the network.
        search_grid: (d, h, w) on which a localizer sees the whole image; None: there is no localizer.
    """

    settings: NetworkSettings
    input_channels: int
    number_of_classes: int
    input_grid: tuple[int, int, int]
    spacing_mm: Sequence[float] = (1.0, 1.0, 1.0)
    co_trained: bool = False
    search_grid: tuple[int, int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class System:
    """One of the paper's systems.

    Args:
        title: Title as the paper calls it.
        trainer: Name of the nnU-Net trainer.
        dense: Whether it is trained over the whole input grid in place of random points.
        main: Puts the network together, without a localizer.
    """

    title: str
    trainer: str
    dense: bool
    main: Callable[[Task], ImPulSeNet]

    def build(self, task: Task) -> ImPulSeNet:
        """The network; with a localizer where the task has a grid for one, the same for every system."""
        network = self.main(task)
        if task.search_grid is not None:
            network.localizer = build_localizer(task.settings, task.input_channels, network.encoder_bfloat16)
        return network


def sizes_of(task: Task, system: str) -> NetworkSettings:
    """The settings that a system makes of the plans': its own switches, encoder and stages."""
    if system == "impulse_plus":
        return task.settings
    if system == "low_resolution":
        return nnunet_settings(task.input_grid, task.spacing_mm)
    if system == "impulse":
        return replace(task.settings, template=False, deformation=False, correction=True)
    return replace(task.settings, encoder="resnet18")


def _impulse_plus(task: Task) -> ImPulSeNet:
    return build_network(task.settings, task.input_channels, task.number_of_classes, task.co_trained)


def _impulse(task: Task) -> ImPulSeNet:
    return build_network(sizes_of(task, "impulse"), task.input_channels, task.number_of_classes)


def _fcn(task: Task) -> ImPulSeNet:
    settings = sizes_of(task, "fcn")
    return _dense(task, settings, FCNHead(settings.features_per_stage[-1], task.number_of_classes, _stride(settings)))


def _deeplab(task: Task) -> ImPulSeNet:
    settings = sizes_of(task, "deeplabv3")
    size = [n // s for n, s in zip(task.input_grid, _stride(settings), strict=True)]
    head = DeepLabHead(settings.features_per_stage[-1], task.number_of_classes, size, settings.norm)
    return _dense(task, settings, head)


def _low_resolution(task: Task) -> ImPulSeNet:
    settings = sizes_of(task, "low_resolution")
    return _dense(task, settings, DenseHead(settings.features_per_stage[0], task.number_of_classes))


def _dense(task: Task, settings: NetworkSettings, head: DenseHead) -> ImPulSeNet:
    encoder: nn.Module = DenseNetwork(build_encoder(settings, task.input_channels), head)
    return ImPulSeNet(encoder, DenseDecoder(task.number_of_classes), encoder_bfloat16=cpu_has_bfloat16())


def _stride(settings: NetworkSettings) -> list[int]:
    """Stride (d, h, w) of the last level against the input grid."""
    return [math.prod(stride[axis] for stride in settings.strides) for axis in range(3)]


SYSTEMS = {
    "impulse_plus": System(title="ImPulSe+", trainer="nnUNetTrainerImPulSe", dense=False, main=_impulse_plus),
    "impulse": System(title="ImPulSe", trainer="nnUNetTrainerImPulSeV1", dense=False, main=_impulse),
    "fcn": System(title="FCN", trainer="nnUNetTrainerFCN", dense=True, main=_fcn),
    "deeplabv3": System(title="DeepLabv3", trainer="nnUNetTrainerDeepLabV3", dense=True, main=_deeplab),
    "low_resolution": System(
        title="nnU-Net, low resolution", trainer="nnUNetTrainerLowRes", dense=True, main=_low_resolution
    ),
}


def system_of(trainer: str) -> str:
    """The system that an nnU-Net trainer of this package trains.

    Raises:
        InputError: It is none of them.
    """
    names = {system.trainer: name for name, system in SYSTEMS.items()}
    if trainer not in names:
        raise InputError(f"`trainer` {trainer}", "no trainer of this package", ", ".join(names), "choose one")
    return names[trainer]

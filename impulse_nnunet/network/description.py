"""The parts of a network with their sizes; nothing is computed, the network is built without memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from impulse_nnunet.network.context import HEAD_CHANNELS, GlobalContext
from impulse_nnunet.network.dense import DenseNetwork
from impulse_nnunet.network.heads import PointHead
from impulse_nnunet.network.impulse_net import PointDecoder
from impulse_nnunet.network.localizer import localizer_settings
from impulse_nnunet.network.memory import saved_values, training_gb
from impulse_nnunet.network.settings import NetworkSettings
from impulse_nnunet.network.systems import SYSTEMS, Task, sizes_of
from impulse_nnunet.network.template import TemplateGenerator

MADE_BEFORE = {
    "frequency": "the log of the class frequencies; fixed in training",
    "learned": "made by this generator before the training; fixed in training",
    "co_trained": "made by this generator, trained with the network",
}


@dataclass(frozen=True)
class Level:
    """One feature map of the pyramid.

    Args:
        channels: Channels of the map.
        grid: (d, h, w), voxels.
    """

    channels: int
    grid: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class NetworkPart:
    """One part of a network.

    Args:
        parameters: Numbers in it that some training fits.
        grid: (d, h, w) that it works on, or None for points.
        settings: What it is, in words.
        trained: ``with the network``, ``before`` or ``never``.
        levels: Levels of the encoder.
    """

    parameters: int
    grid: tuple[int, ...] | None
    settings: str
    trained: str = "with the network"
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NetworkDescription:
    """A network.

    Args:
        system: Its title.
        trainer: nnU-Net trainer.
        input_channels: Channels of the image.
        number_of_classes: Background included.
        parts: By name, in the order of computation.
        trained_parameters: In the network's own training.
        batch_size: Samples in a step.
        points: Points in each sample, voxels of a dense system.
        memory_gb: Estimated peak GPU memory of a training step.
    """

    system: str
    trainer: str
    input_channels: int
    number_of_classes: int
    parts: dict[str, NetworkPart]
    trained_parameters: int
    batch_size: int
    points: int
    memory_gb: float

    def to_json(self) -> dict[str, Any]:
        """The description as plain values."""
        return asdict(self)


def describe(
    task: Task, system: str, template_mode: str, batch_size: int, points: int, trainer: str
) -> NetworkDescription:
    """Describe a system's network.

    Args:
        task: What it is built for.
        system: One of :data:`~impulse_nnunet.network.systems.SYSTEMS`.
        template_mode: ``frequency``, ``learned`` or ``co_trained``.
        batch_size: Samples in a step.
        points: In each sample; a dense system has the grid's voxels.
        trainer: Name of the nnU-Net trainer.
    """
    kind, settings = SYSTEMS[system], sizes_of(task, system)
    with torch.device("meta"):
        network = kind.build(task)
        network.encoder_bfloat16 = False
        saved = saved_values(network.encoder, task.input_channels, task.input_grid)
    dense = network.encoder if isinstance(network.encoder, DenseNetwork) else None
    parts = {"encoder": _encoder(network.encoder if dense is None else dense.pyramid, settings, task)}
    if isinstance(network.context, GlobalContext):
        level = parts["encoder"].levels[-1]
        parts["context"] = _context(network.context, level)
        saved += network.context.saved_values(math.prod(level.grid))
    if dense is not None:
        parts["head"] = NetworkPart(parameters=count(dense.head), grid=task.input_grid, settings=dense.head.title)
    if isinstance(network.decoder, PointDecoder):
        parts |= _point_parts(network.decoder, settings, task, template_mode)
    if network.localizer is not None:
        parts["localizer"] = _localizer(network.localizer, task)
    trained = count(network)
    points = math.prod(task.input_grid) if kind.dense else points
    memory = training_gb(saved, trained, batch_size, points, _values_per_point(settings, task, kind.dense))
    return NetworkDescription(
        system=kind.title,
        trainer=trainer,
        input_channels=task.input_channels,
        number_of_classes=task.number_of_classes,
        parts=parts,
        trained_parameters=trained,
        batch_size=batch_size,
        points=points,
        memory_gb=round(memory, 2),
    )


def count(module: nn.Module) -> int:
    """Trained numbers of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def _encoder(encoder: nn.Module, settings: NetworkSettings, task: Task) -> NetworkPart:
    grid, levels = list(task.input_grid), []
    for channels, stride in zip(settings.features_per_stage, settings.strides, strict=True):
        grid = [n // s for n, s in zip(grid, stride, strict=True)]
        levels.append(Level(channels, tuple(grid)))
    blocks = "-".join(str(number) for number in settings.blocks_per_stage)
    unit = "blocks" if settings.encoder == "resnet18" or "esidual" in settings.encoder else "convolutions"
    text = f"{settings.encoder}, {settings.norm} norm, {blocks} {unit} a stage"
    if settings.encoder == "resnet18":
        text += f", stem kernel {settings.stem_kernel_size}"
    return NetworkPart(parameters=count(encoder), grid=task.input_grid, settings=text, levels=tuple(levels))


def _context(context: GlobalContext, level: Level) -> NetworkPart:
    number = len(context.blocks)
    text = f"{number} {'block' if number == 1 else 'blocks'} of self-attention, {HEAD_CHANNELS} channels a head"
    return NetworkPart(parameters=count(context), grid=level.grid, settings=text)


def _localizer(localizer: nn.Module, task: Task) -> NetworkPart:
    widths = ", ".join(str(width) for width in localizer_settings(task.settings).features_per_stage)
    return NetworkPart(
        parameters=count(localizer),
        grid=task.search_grid,
        settings=f"unet of widths {widths}: the foreground in the whole image",
    )


def _point_parts(decoder: PointDecoder, settings: NetworkSettings, task: Task, mode: str) -> dict[str, NetworkPart]:
    parts = {}
    for name, head in (("deformation", decoder.deformation), ("correction", decoder.correction)):
        if isinstance(head, PointHead):
            sizes = (head.first_layers[0].in_features, settings.head_features, head.last.out_features)
            text = f"{' -> '.join(str(size) for size in sizes)}, dropout {settings.head_dropout:g}"
            parts[name] = NetworkPart(parameters=count(head), grid=None, settings=text)
    if decoder.template is not None:
        parts["template"] = _template(settings.template_grid, task.number_of_classes, mode)
    return parts


def _template(grid: Sequence[int], number_of_classes: int, mode: str) -> NetworkPart:
    parameters = 0
    if mode != "frequency":
        with torch.device("meta"):
            parameters = count(TemplateGenerator(number_of_classes, grid))
    trained = {"frequency": "never", "learned": "before", "co_trained": "with the network"}[mode]
    return NetworkPart(
        parameters=parameters, grid=tuple(grid), settings=f"{mode}: {MADE_BEFORE[mode]}", trained=trained
    )


def _values_per_point(settings: NetworkSettings, task: Task, dense: bool) -> int:
    logits = 6 * task.number_of_classes
    if dense:
        return logits
    encoding = sum(settings.features_per_stage) + 3
    return 2 * encoding + 4 * (settings.deformation + settings.correction) * settings.head_features + logits

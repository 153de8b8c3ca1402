"""What the plans say beyond nnU-Net's own keys: one frozen dataclass for each part, read from and written to JSON.

A configuration of the plans holds ``"impulse": {...}`` (:class:`ImPulSeSettings`) and, under nnU-Net's own
``"architecture"``, the sizes of the network (:class:`~impulse_nnunet.network.NetworkSettings`). A user may edit both;
an unknown key, or a value out of range, is refused with its name.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from impulse_nnunet.errors import InputError
from impulse_nnunet.laterality.asymmetry import decode
from impulse_nnunet.laterality.pose import AXES
from impulse_nnunet.network.settings import NetworkSettings
from impulse_nnunet.network.systems import Task
from impulse_nnunet.network.topology import spacing_of
from impulse_nnunet.plausibility.learned import LearnedPlausibility

CONFIGURATION = "3d_impulse"
PLANS = "ImPulSePlans"
NETWORK_CLASS = "impulse_nnunet.network.ImPulSeNet"
PLAN_KEY = "impulse"

REGION_MODES = ("whole", "two_pass")
TEMPLATE_MODES = ("frequency", "learned", "co_trained")

T = TypeVar("T")


@dataclass(frozen=True)
class GridSettings:
    """Grids.

    Args:
        input_grid: Voxels (d, h, w) that the encoder sees.
        working_grid: Voxels (d, h, w) of the whole image as it is stored for training; never finer than the image.
    """

    input_grid: tuple[int, int, int]
    working_grid: tuple[int, int, int]

    def __post_init__(self) -> None:
        for name in ("input_grid", "working_grid"):
            _require(min(getattr(self, name)) > 0, f"grid.{name}", getattr(self, name), "positive numbers")


@dataclass(frozen=True, kw_only=True)
class RegionSettings:
    """Region of interest.

    Args:
        mode: ``whole`` encodes the image; ``two_pass`` finds the foreground's box first and encodes that.
        margin: Added to each side of the foreground's box, as a share of the box's edge.
        whole_share: Share of training samples, in ``two_pass``, whose box lies anywhere between tight and whole image.
        jitter: Standard deviation of the shift of each face of the other boxes, as a share of the box's edge.
        search_grid: Voxels (d, h, w) on which, in ``two_pass``, a small network of its own sees the image and finds the
            box; empty: the network itself finds it, on the input grid.
    """

    mode: str = "whole"
    margin: float = 0.05
    whole_share: float = 0.3
    jitter: float = 0.05
    search_grid: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _require(self.mode in REGION_MODES, "region.mode", self.mode, f"one of {', '.join(REGION_MODES)}")
        _require(0 <= self.margin <= 1, "region.margin", self.margin, "a share in [0, 1]")
        _require(0 <= self.whole_share <= 1, "region.whole_share", self.whole_share, "a share in [0, 1]")
        _require(0 <= self.jitter <= 0.5, "region.jitter", self.jitter, "a share in [0, 0.5]")
        sizes = self.search_grid or (1, 1, 1)
        ok = len(sizes) == 3 and min(sizes) > 0
        _require(ok, "region.search_grid", self.search_grid, "nothing, or three positive numbers")


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """Training points (paper, section 4.5).

    Args:
        points: Points in each sample.
        mask_share: 1 - gamma, the share of points drawn inside the mask channels or the trees.
        region_share: Share of points drawn in the foreground's box with the region's margin; the rest is uniform.
        mask_channels: Input channels that are masks (bronchi, arteries, veins).
        tree_folders: Folders of such masks in the raw data set, for inputs that lack them; read in preprocessing.
    """

    points: int = 4096
    mask_share: float = 0.0
    region_share: float = 0.0
    mask_channels: tuple[int, ...] = ()
    tree_folders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(self.points > 0, "sampling.points", self.points, "a positive number")
        _require(0 <= self.mask_share <= 1, "sampling.mask_share", self.mask_share, "a share in [0, 1]")
        _require(self.region_share >= 0, "sampling.region_share", self.region_share, "a share in [0, 1]")
        total = self.mask_share + self.region_share
        _require(total <= 1, "sampling.mask_share + sampling.region_share", total, "at most 1")
        ok = self.mask_share == 0 or len(self.mask_channels) > 0 or len(self.tree_folders) > 0
        expected = "0 where sampling.mask_channels and sampling.tree_folders are empty"
        _require(ok, "sampling.mask_share", self.mask_share, expected)


@dataclass(frozen=True, kw_only=True)
class AugmentationSettings:
    """Random map of each training box, affine and, if asked for, smoothly deformed, and random intensities.

    Args:
        rotation: Largest rotation about each axis, radians.
        scale: Largest relative change of size, together for all axes.
        axis_scale: Largest relative change of size of each axis of the box by itself.
        shift: Largest shift along each axis, as a share of the box's edge.
        deformation: Standard deviation of a smooth random displacement along each axis, as a share of half the edge.
        deformation_frequency: Most waves of it across the box's edge.
        brightness: Standard deviation of the added constant, in units of the normalised image.
        contrast: Largest relative change of contrast.
        noise: Largest standard deviation of added white noise, in units of the normalised image.
        blur: Largest standard deviation of a Gaussian filter that a tenth of the images get, voxels of the input grid.
        low_resolution: Largest share of each axis's voxels that an eighth of the images lose.
        gamma: Largest exponent, less 1, of a gamma curve that two images in five get; the smallest is its inverse.
        fixed_channels: Channels that keep their values, besides ``sampling.mask_channels``.
    """

    rotation: float = 0.2
    scale: float = 0.12
    axis_scale: float = 0.0
    shift: float = 0.05
    deformation: float = 0.0
    deformation_frequency: float = 1.0
    brightness: float = 0.1
    contrast: float = 0.15
    noise: float = 0.1
    blur: float = 0.0
    low_resolution: float = 0.0
    gamma: float = 0.0
    fixed_channels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _require(0 <= self.axis_scale < 1, "augmentation.axis_scale", self.axis_scale, "a share in [0, 1)")
        _require(0 <= self.deformation <= 0.5, "augmentation.deformation", self.deformation, "a share in [0, 0.5]")
        frequency = self.deformation_frequency
        _require(0 < frequency <= 8, "augmentation.deformation_frequency", frequency, "more than 0, at most 8")
        _require(0 <= self.blur <= 8, "augmentation.blur", self.blur, "voxels, 0 to 8")
        _require(0 <= self.low_resolution < 1, "augmentation.low_resolution", self.low_resolution, "a share in [0, 1)")
        _require(0 <= self.gamma <= 4, "augmentation.gamma", self.gamma, "a number in [0, 4]")


@dataclass(frozen=True)
class LossSettings:
    """Weights of the terms: cross-entropy, soft Dice, mean length of the displacement (box units)."""

    cross_entropy: float = 0.5
    dice: float = 1.0
    displacement: float = 0.001


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Length and step size.

    Args:
        epochs: Epochs of the network's training.
        iterations: Optimiser steps in each epoch.
        validation_iterations: Batches in each epoch's validation.
        max_minutes: Stop after this wall-clock time instead, the learning rate following the clock; 0: no limit.
        learning_rate: AdamW's first step size; a cosine takes it to ``final_learning_rate``, step by step.
        final_learning_rate: Where the cosine ends.
        weight_decay: AdamW's.
        averaging: Share that a running mean of the weights keeps at each step, e.g. 0.99; the training ends with that
            mean. 0: it ends with the weights of its last step.
        seed: Seed of everything random in training.
    """

    epochs: int = 100
    iterations: int = 140
    validation_iterations: int = 20
    max_minutes: float = 0.0
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-6
    weight_decay: float = 1e-2
    averaging: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "iterations", "validation_iterations"):
            _require(getattr(self, name) > 0, f"training.{name}", getattr(self, name), "a positive number")
        for name in ("max_minutes", "final_learning_rate", "weight_decay"):
            _require(getattr(self, name) >= 0, f"training.{name}", getattr(self, name), "0 or more")
        _require(0 <= self.averaging < 1, "training.averaging", self.averaging, "a share in [0, 1)")
        _require(self.learning_rate > 0, "training.learning_rate", self.learning_rate, "a positive number")


@dataclass(frozen=True, kw_only=True)
class TemplateSettings:
    """The template.

    Args:
        mode: ``frequency`` (log of the class frequency at each template voxel), ``learned`` (the paper's generator,
            pre-trained) or ``co_trained`` (the same generator, trained with the network from its first step).
        iterations: Steps of the pre-training of a learned template.
        learning_rate: AdamW's first step size in pre-training, cosine to zero.
        smoothing: Pseudo-count given to each class at each voxel of a frequency template, in cases.
    """

    mode: str = "frequency"
    iterations: int = 2000
    learning_rate: float = 1e-3
    smoothing: float = 0.5

    def __post_init__(self) -> None:
        _require(self.mode in TEMPLATE_MODES, "template.mode", self.mode, f"one of {', '.join(TEMPLATE_MODES)}")
        _require(self.iterations > 0, "template.iterations", self.iterations, "a positive number")
        _require(self.smoothing > 0, "template.smoothing", self.smoothing, "a positive number")


@dataclass(frozen=True)
class InferenceSettings:
    """Decoding.

    Args:
        block_points: Points that are decoded at once; memory grows with it, labels do not change.
    """

    block_points: int = 32768

    def __post_init__(self) -> None:
        _require(self.block_points > 0, "inference.block_points", self.block_points, "a positive number")


@dataclass(frozen=True)
class LateralitySettings:
    """Telling mirrored and turned images at prediction (docs/reliability.md).

    Args:
        asymmetry: How the training images differ from their mirror images, as the planner found it; empty: not judged.
        pose: How the training images look from head to foot and from front to back; empty: not judged.
        pose_axes: What they tell of it: ``head`` (from feet), ``front`` (from back).
    """

    asymmetry: str = ""
    pose: str = ""
    pose_axes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("asymmetry", "pose"):
            text = getattr(self, name)
            try:
                known = text == "" or decode(text) is not None
            except ValueError:
                known = False
            _require(known, f"laterality.{name}", text[:20], "the planner's text, or an empty one")
        _require(set(self.pose_axes) <= set(AXES), "laterality.pose_axes", self.pose_axes, " and ".join(AXES))


@dataclass(frozen=True, kw_only=True)
class ReadingSettings:
    """How the training images were read (docs/files.md).

    Args:
        orientation: To where the axes of all images run, e.g. ``LPS``, if the reader does not turn them; else empty.
        assume_orientation: Whether some of them say nothing of their orientation, and the user let it be assumed.
        margins: Shares of the images' edges (d, h, w) below and above the body, medians; oblique images get the same.
        crop_margins_mm: How much more than the box of nonzero voxels is kept below and above along (d, h, w); empty:
            nothing more, as nnU-Net crops.
    """

    orientation: str = ""
    assume_orientation: bool = False
    margins: tuple[float, ...] = ()
    crop_margins_mm: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        pairs = list(zip(self.margins[::2], self.margins[1::2], strict=False))
        ok = len(self.margins) in (0, 6) and all(min(pair) >= 0 and sum(pair) <= 0.9 for pair in pairs)
        _require(ok, "reading.margins", self.margins, "nothing, or three pairs of shares, together at most 0.9")
        lengths = self.crop_margins_mm
        ok = len(lengths) in (0, 6) and all(mm >= 0 and math.isfinite(mm) for mm in lengths)
        _require(ok, "reading.crop_margins_mm", lengths, "nothing, or six lengths in mm, 0 or more")


@dataclass(frozen=True, kw_only=True)
class ImPulSeSettings:
    """All parts."""

    grid: GridSettings
    region: RegionSettings = field(default_factory=RegionSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    template: TemplateSettings = field(default_factory=TemplateSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    laterality: LateralitySettings = field(default_factory=LateralitySettings)
    reading: ReadingSettings = field(default_factory=ReadingSettings)
    plausibility: LearnedPlausibility = field(default_factory=LearnedPlausibility)

    @property
    def search_grid(self) -> tuple[int, int, int] | None:
        """Voxels (d, h, w) that the localizer sees, if there is one."""
        if self.region.mode != "two_pass" or not self.region.search_grid:
            return None
        d, h, w = self.region.search_grid
        return d, h, w

    @property
    def fixed_channels(self) -> tuple[int, ...]:
        """Channels whose values augmentation leaves alone."""
        return tuple(sorted({*self.augmentation.fixed_channels, *self.sampling.mask_channels}))


def settings_from_configuration(configuration: Mapping[str, Any]) -> ImPulSeSettings:
    """Read the ``impulse`` part of a plans configuration.

    Raises:
        InputError: The plans are another planner's, or a key or value is wrong.
    """
    if PLAN_KEY not in configuration:
        raise InputError(
            "plans",
            f"a configuration without {PLAN_KEY!r}",
            f"{CONFIGURATION} of {PLANS}",
            "run impulse_nnunet plan_and_preprocess and give `plans` ImPulSePlans and configuration 3d_impulse",
        )
    return from_json(ImPulSeSettings, configuration[PLAN_KEY], PLAN_KEY)


def network_settings_from_configuration(configuration: Mapping[str, Any]) -> NetworkSettings:
    """Read sizes and switches of the network from nnU-Net's ``architecture`` entry of a plans configuration."""
    architecture = configuration["architecture"]
    if architecture["network_class_name"] != NETWORK_CLASS:
        raise InputError(
            "plans",
            f"the network {architecture['network_class_name']}",
            NETWORK_CLASS,
            "give `plans` ImPulSePlans and configuration 3d_impulse",
        )
    network = from_json(NetworkSettings, architecture["arch_kwargs"], "architecture.arch_kwargs")
    settings = settings_from_configuration(configuration)
    grid = settings.grid.input_grid
    product = tuple(math.prod(stride[axis] for stride in network.strides) for axis in range(3))
    for name, sizes in (("grid.input_grid", grid), ("region.search_grid", settings.search_grid or grid)):
        divides = all(n % p == 0 for n, p in zip(sizes, product, strict=True))
        _require(divides, f"impulse.{name}", sizes, f"multiples of the encoder's strides {product}")
    mode = settings.template.mode
    expected = "frequency or learned where architecture.arch_kwargs.template is off"
    _require(network.template or mode != "co_trained", "impulse.template.mode", mode, expected)
    batch = configuration["batch_size"]
    _require(type(batch) is int and batch > 0, "batch_size", batch, "a positive number")
    return network


def network_task(configuration: Mapping[str, Any], input_channels: int, number_of_classes: int) -> Task:
    """What a system's network is built for, from a plans configuration and the data set's channels and classes."""
    settings = settings_from_configuration(configuration)
    grid = settings.grid.input_grid
    extent_mm = configuration.get("estimates", {}).get("extent_mm")
    return Task(
        settings=network_settings_from_configuration(configuration),
        input_channels=input_channels,
        number_of_classes=number_of_classes,
        input_grid=grid,
        spacing_mm=spacing_of(extent_mm, grid),
        co_trained=settings.template.mode == "co_trained",
        search_grid=settings.search_grid,
    )


def from_json(cls: type[T], content: Mapping[str, Any], where: str) -> T:
    """Build a settings dataclass from JSON content; unknown or ill-typed entries raise :class:`InputError`."""
    hints = get_type_hints(cls)
    unknown = sorted(set(content) - set(hints))
    if unknown:
        raise InputError(
            f"plans, {where}",
            f"the unknown setting {unknown[0]!r}",
            f"one of {', '.join(hints)}",
            "correct the plans file",
        )
    values = {name: _convert(hints[name], value, f"{where}.{name}") for name, value in content.items()}
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"plans, {where}", str(error), "a complete, consistent entry", "correct the plans file"
        ) from error


def to_json(settings: Any) -> dict[str, Any]:
    """The JSON content of a settings dataclass."""
    return dataclasses.asdict(settings)


def with_overrides(content: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Change entries of nested JSON content by dotted names, e.g. ``{"training.epochs": 20}``; returns ``content``."""
    for name, value in overrides.items():
        *parents, last = name.split(".")
        entry: Any = content
        for parent in parents:
            entry = entry.get(parent) if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or last not in entry:
            raise InputError(
                f"`overrides` {name}",
                "no such setting",
                "a dotted name from the plans file, e.g. impulse.training.epochs",
                "see docs/planning.md",
            )
        entry[last] = value
    return content


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        _require(isinstance(value, Mapping), where, value, "an object")
        return from_json(hint, value, where)
    if get_origin(hint) is tuple:
        _require(isinstance(value, list | tuple), where, value, "a list")
        kinds = get_args(hint)
        kinds = kinds[:1] * len(value) if kinds[-1] is Ellipsis else kinds
        _require(len(kinds) == len(value), where, value, f"{len(kinds)} entries")
        return tuple(_convert(kind, item, where) for kind, item in zip(kinds, value, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    _require(type(value) is hint, where, value, f"a value of type {hint.__name__}")
    return value


def _require(condition: bool, name: str, value: Any, expected: str) -> None:
    if not condition:
        raise InputError(f"plans, {name}", repr(value), expected, "correct the plans file")

"""The rules of self-configuration, pure functions on a data set's properties (stated in docs/planning.md)."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from impulse_nnunet.network.memory import BYTES_PER_ACTIVATION, BYTES_PER_PARAMETER, peak_gb
from impulse_nnunet.network.settings import NetworkSettings
from impulse_nnunet.settings import GridSettings, RegionSettings

LARGEST_INPUT_VOXELS = 128**3  # the paper's grid
SMALLEST_EDGE = 16
FEATURES_LARGEST = 64  # ResNet-18
FEATURES_SMALLEST = 16
FEATURE_STEP = 8
MEMORY_FOR_FULL_WIDTH_GB = 32.0  # from here on the paper's own widths are affordable at its own grid (29 GB)
BATCH_SIZES = (4, 3, 2)  # the paper's, down to nnU-Net's smallest
GRID_WORTH_ITS_BATCH = 0.5  # share of the voxels that data and paper allow, below which a smaller batch is better
POINTS = 4096  # the paper's, for 19 classes
POINTS_PER_CLASS = 215  # what those are for each class
LARGEST_POINTS = 16384
LARGEST_TEMPLATE_EDGE = 128
REGION_CLEARLY_SMALLER = 0.7
REGION_FINER = 1.2
WORKING_FINER = 1.25
SEARCH_FROM = 64**3  # voxels of the input grid from which on a localizer pays
SEARCH_VOXELS = 24  # along each edge of the region: half a voxel is well within the margin
MAPS_PER_STAGE = 14  # 9.9 are saved for the backward pass (a test counts them); the rest is for gradients and copies


logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DatasetProperties:
    """What the rules look at; each array has one row for each training case, axes (d, h, w) as the reader gives them.

    Args:
        image_extents_mm: (case, 3) edges of the images.
        region_extents_mm: (case, 3) edges of the foreground's boxes, without margin.
        spacings_mm: (case, 3).
        input_channels: Channels of the images.
        number_of_classes: Classes, background included.
    """

    image_extents_mm: np.ndarray
    region_extents_mm: np.ndarray
    spacings_mm: np.ndarray
    input_channels: int
    number_of_classes: int


@dataclass(frozen=True, kw_only=True)
class PlannedSizes:
    """What the rules decide.

    Args:
        grid: Input and working grid.
        region: Mode and margin.
        network: Encoder, heads and template grid.
        batch_size: Cases in a training batch.
        points: Training points in each sample.
        extent_mm: Median extent (d, h, w) that the input grid covers.
        memory_gb: Estimated peak GPU memory in training.
    """

    grid: GridSettings
    region: RegionSettings
    network: NetworkSettings
    batch_size: int
    points: int
    extent_mm: tuple[float, float, float]
    memory_gb: float


@dataclass(frozen=True)
class _Budget:
    """What a training step may take and what it must hold."""

    properties: DatasetProperties
    memory_gb: float
    points: int


def plan_sizes(
    properties: DatasetProperties, memory_target_gb: float, region: RegionSettings | None = None
) -> PlannedSizes:
    """Choose grids, network, batch size and region mode for a data set and a GPU.

    Args:
        properties: The data set.
        memory_target_gb: Peak GPU memory to stay below in training.
        region: Margins and shares; its mode is decided here.
    """
    region = region or RegionSettings()
    budget = _Budget(properties, memory_target_gb, points_for(properties.number_of_classes))
    spacing = np.median(properties.spacings_mm, axis=0)
    image = np.median(properties.image_extents_mm, axis=0)
    interest = np.minimum(np.median(properties.region_extents_mm, axis=0) * (1 + 2 * region.margin), image)
    whole_grid, _ = _grid_and_batch(image, spacing, budget)
    mode = _region_mode(image, interest, spacing, whole_grid)
    extent = interest if mode == "two_pass" else image
    input_grid, batch_size = _grid_and_batch(extent, spacing, budget)
    network = network_for(input_grid, memory_target_gb)
    settings = RegionSettings(mode=mode, margin=region.margin, whole_share=region.whole_share, jitter=region.jitter)
    return PlannedSizes(
        grid=GridSettings(input_grid, working_grid(input_grid, image, extent)),
        region=settings,
        network=network,
        batch_size=batch_size,
        points=budget.points,
        extent_mm=(float(extent[0]), float(extent[1]), float(extent[2])),
        memory_gb=estimate_memory_gb(input_grid, network, batch_size, budget.points, properties),
    )


def points_for(number_of_classes: int) -> int:
    """Training points in each sample: the paper's, more where there are more classes, in steps of 1024."""
    wanted = math.ceil(number_of_classes * POINTS_PER_CLASS / 1024) * 1024
    return min(max(POINTS, wanted), LARGEST_POINTS)


def working_grid(input_grid: Sequence[int], image_mm: np.ndarray, extent_mm: np.ndarray) -> tuple[int, int, int]:
    """Voxels of the whole image that are a little finer than the input grid over ``extent_mm``."""
    return _triple(np.ceil(np.asarray(input_grid) * WORKING_FINER * image_mm / extent_mm).astype(int))


def search_grid(
    input_grid: Sequence[int], strides: Sequence[Sequence[int]], properties: DatasetProperties
) -> tuple[int, ...]:
    """Voxels in which a localizer sees the whole image; none for small input grids.

    Half the input grid, more where the region is a small part of the image, never more than the input grid; multiples
    of the strides.
    """
    if math.prod(input_grid) < SEARCH_FROM:
        return ()
    image, region = (np.median(e, axis=0) for e in (properties.image_extents_mm, properties.region_extents_mm))
    wanted = np.minimum(np.maximum(np.asarray(input_grid) / 2, SEARCH_VOXELS * image / region), input_grid)
    product = np.array([math.prod(stride[axis] for stride in strides) for axis in range(3)])
    return _triple((np.ceil(wanted / product - 1e-6) * product).astype(int))


def network_for(input_grid: Sequence[int], memory_target_gb: float) -> NetworkSettings:
    """Encoder, heads and template for an input grid: four stages, widths by the memory target."""
    share = min(1.0, memory_target_gb / MEMORY_FOR_FULL_WIDTH_GB)
    steps = int(FEATURES_LARGEST * share) // FEATURE_STEP
    width = min(FEATURES_LARGEST, max(FEATURES_SMALLEST, steps * FEATURE_STEP))
    strides = strides_for(input_grid)
    return NetworkSettings(
        features_per_stage=tuple(width * 2**stage for stage in range(len(strides))),
        strides=strides,
        blocks_per_stage=(2,) * len(strides),
        template_grid=_triple([min(n, LARGEST_TEMPLATE_EDGE) for n in input_grid]),
    )


def strides_for(grid: Sequence[int]) -> tuple[tuple[int, int, int], ...]:
    """Four stages; each halves the axes that stay divisible and at least 4 voxels long."""
    shape = list(grid)
    strides = [(1, 1, 1)]
    for _ in range(3):
        stride = [2 if n % 2 == 0 and n // 2 >= 4 else 1 for n in shape]
        shape = [n // s for n, s in zip(shape, stride, strict=True)]
        strides.append(_triple(stride))
    return tuple(strides)


def estimate_memory_gb(
    grid: Sequence[int], network: NetworkSettings, batch_size: int, points: int, properties: DatasetProperties
) -> float:
    """Estimate the peak GPU memory of a training step: activations in half precision, parameters, point features."""
    shape = np.asarray(grid, dtype=float)
    activations, parameters, channels = 0.0, 0.0, properties.input_channels
    for width, stride in zip(network.features_per_stage, network.strides, strict=True):
        shape = shape / np.asarray(stride)
        activations += float(np.prod(shape)) * width * MAPS_PER_STAGE
        parameters += 27 * width * (channels + 3 * width)
        channels = width
    encoding = sum(network.features_per_stage) + 3
    # encoding, its gradient, hidden layers of both heads and the logits, all float32
    per_point = 4 * (2 * encoding + 8 * network.head_features + 6 * properties.number_of_classes)
    total = batch_size * (activations * BYTES_PER_ACTIVATION + points * per_point) + parameters * BYTES_PER_PARAMETER
    return peak_gb(total)


def _grid_and_batch(extent: np.ndarray, spacing: np.ndarray, budget: _Budget) -> tuple[tuple[int, int, int], int]:
    """The largest batch that leaves room for a grid worth having, and that grid; else the smallest batch."""
    enough = GRID_WORTH_ITS_BATCH * math.prod(_largest_grid(extent, spacing, budget, 0) or (1,))
    grids = {batch_size: _largest_grid(extent, spacing, budget, batch_size) for batch_size in BATCH_SIZES}
    for batch_size, grid in grids.items():
        if grid is not None and math.prod(grid) >= enough:
            return grid, batch_size
    grid = grids[BATCH_SIZES[-1]]
    if grid is None:
        logger.warning("no grid fits %.1f GB of GPU memory; the smallest is planned", budget.memory_gb)
        voxel = float(np.prod(extent)) ** (1 / 3) / SMALLEST_EDGE
        grid = _divisible(np.minimum(extent / voxel, extent / spacing))
    return grid, BATCH_SIZES[-1]


def _largest_grid(
    extent: np.ndarray, spacing: np.ndarray, budget: _Budget, batch_size: int
) -> tuple[int, int, int] | None:
    """The largest grid in proportion to the extent that fits memory, the paper's voxel count and the data, if any.

    A batch of 0 asks no memory.
    """
    finest = extent / spacing
    for edge in range(256, SMALLEST_EDGE, -1):
        voxel = (float(np.prod(extent)) / edge**3) ** (1 / 3)
        grid = _divisible(np.minimum(extent / voxel, finest))
        if math.prod(grid) > LARGEST_INPUT_VOXELS:
            continue
        network = network_for(grid, budget.memory_gb)
        memory = estimate_memory_gb(grid, network, batch_size, budget.points, budget.properties)
        if batch_size == 0 or memory <= budget.memory_gb:
            return grid
    return None


def _divisible(edges: np.ndarray) -> tuple[int, int, int]:
    """Round each edge down to a multiple of 8 (of 4, 2 or 1 where that would lose more than a tenth)."""
    result = []
    for edge in np.maximum(1, np.floor(edges + 1e-6)).astype(int):
        choices = [int(edge) // m * m for m in (8, 4, 2, 1)]
        result.append(next(n for n in choices if n >= 0.9 * edge))
    return _triple(result)


def _region_mode(image: np.ndarray, interest: np.ndarray, spacing: np.ndarray, whole_grid: Sequence[int]) -> str:
    """Two passes where the region is clearly smaller and a grid on it alone would be clearly finer."""
    smaller = float(np.prod(interest / image)) < REGION_CLEARLY_SMALLER
    coarse = float(np.prod(image / np.asarray(whole_grid) / spacing)) ** (1 / 3) > REGION_FINER
    return "two_pass" if smaller and coarse else "whole"


def _triple(values: Sequence[int] | np.ndarray) -> tuple[int, int, int]:
    d, h, w = (int(v) for v in values)
    return d, h, w

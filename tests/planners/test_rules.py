import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impulse_nnunet.network import NetworkSettings, build_network
from impulse_nnunet.planners import DatasetProperties, plan_sizes
from impulse_nnunet.planners.rules import MAPS_PER_STAGE, estimate_memory_gb, network_for, search_grid, strides_for

MEMORY = (4, 6, 8, 11, 16, 24, 40)
edges = st.floats(60, 500)
spacings = st.floats(0.5, 5)
datasets = st.tuples(st.tuples(edges, edges, edges), st.tuples(spacings, spacings, spacings))


def properties(image_mm, spacing_mm=(1.0, 1.0, 1.0), region_mm=None, channels=1, classes=19):
    region_mm = image_mm if region_mm is None else region_mm
    rows = [np.array([values], float) for values in (image_mm, region_mm, spacing_mm)]
    images, regions, spacings = rows
    return DatasetProperties(
        image_extents_mm=images,
        region_extents_mm=regions,
        spacings_mm=spacings,
        input_channels=channels,
        number_of_classes=classes,
    )


CHEST = properties((300, 360, 360), region_mm=(250, 180, 280))


def test_a_chest_is_read_in_two_passes():
    # region with 5 % margins: 275 x 198 x 308 of 300 x 360 x 360 mm is 43 %, and 39 million voxels of 1 mm do not fit
    sizes = plan_sizes(CHEST, 8)
    assert sizes.region.mode == "two_pass"
    np.testing.assert_allclose(sizes.extent_mm, (275, 198, 308))


def test_a_region_that_fills_its_image_is_read_in_one_pass():
    sizes = plan_sizes(properties((300, 360, 360), region_mm=(290, 350, 350)), 8)
    assert sizes.region.mode == "whole"
    assert sizes.extent_mm == (300, 360, 360)


def test_a_small_image_is_read_in_one_pass_at_its_own_resolution():
    # 40 x 48 x 32 voxels fit anywhere; a second pass could not be finer
    sizes = plan_sizes(properties((40, 48, 32), region_mm=(20, 24, 16)), 8)
    assert sizes.region.mode == "whole"
    assert sizes.grid.input_grid == (40, 48, 32)


@pytest.mark.parametrize(
    ("classes", "points"),
    [(2, 4096), (3, 4096), (19, 4096), (20, 5120), (40, 9216), (105, 16384)],
    # 20 x 215 = 4300: between 4 and 5 times 1024; 40 x 215 = 8600: between 8 and 9; 105 x 215 = 22 575: above 16 384
)
def test_points_grow_with_the_classes(classes, points):
    assert plan_sizes(properties((300, 300, 300), classes=classes), 8).points == points


def test_a_small_gpu_gives_up_cases_in_a_batch_before_more_than_half_of_the_grid():
    # width 16, strides 2: a voxel of the input grid costs about 16 x 14 x 2 x (1 + 1/4 + 1/16 + 1/64) = 595 bytes a
    # sample, 1.35 times that on the device. The data allow 128^3 = 2.1 million voxels: 1.69 GB a sample, so half of
    # them takes 0.84 GB a sample and 1.1 GB fixed: a batch of 4 needs about 4.5 GB, of 3 3.6 GB, of 2 2.8 GB.
    cube = properties((512, 512, 512))
    assert [plan_sizes(cube, memory).batch_size for memory in (10, 5, 4, 3, 2)] == [4, 4, 3, 2, 2]
    assert all(plan_sizes(cube, memory).memory_gb <= memory for memory in (10, 5, 4, 3, 2))


# On an NVIDIA H200, torch 2.11: what PyTorch reserved in training steps of ImPulSe+, and CUDA's context of 0.95 GB.
MEASURED_GB = (
    ((36, 48, 32), 16, 1, 3, 1.34),
    ((36, 48, 32), 24, 1, 3, 1.56),
    ((36, 48, 32), 64, 1, 3, 2.42),
    ((96, 128, 144), 16, 1, 9, 6.92),
    ((96, 128, 144), 24, 1, 9, 9.55),
    ((128, 128, 128), 64, 4, 19, 25.38),
)


@pytest.mark.parametrize(("grid", "width", "channels", "classes", "measured"), MEASURED_GB)
def test_the_estimate_is_not_below_what_was_measured_and_within_15_percent(grid, width, channels, classes, measured):
    network = NetworkSettings(features_per_stage=tuple(width * 2**i for i in range(4)), template_grid=grid)
    estimate = estimate_memory_gb(grid, network, 4, 4096, properties((1, 1, 1), channels=channels, classes=classes))
    assert measured <= estimate <= 1.15 * measured


HALVING = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))


def test_a_localizer_takes_half_of_a_large_grid():
    chest = properties((300, 360, 360), region_mm=(250, 300, 300))
    assert search_grid((128, 128, 128), HALVING, chest) == (64, 64, 64)
    assert search_grid((88, 120, 72), HALVING, chest) == (48, 64, 40)  # 44, 60, 36, up to multiples of 8
    strides = ((1, 1, 1), (2, 2, 2), (1, 2, 2), (1, 1, 1))
    assert search_grid((62, 100, 100), strides, chest) == (32, 52, 52)  # 31, 50, 50
    assert search_grid((64, 64, 64), HALVING, chest) == (32, 32, 32)
    assert search_grid((64, 64, 56), HALVING, chest) == ()


def test_a_localizer_takes_more_where_the_region_is_small():
    # 24 voxels across regions of a half, a quarter and a tenth of the image: 48, 96 and 240, which is above the grid
    organ = properties((300, 300, 300), region_mm=(150, 75, 30))
    assert search_grid((128, 128, 128), HALVING, organ) == (64, 96, 128)


def test_medians_decide():
    rows = np.array([[300.0, 360, 360], [310, 350, 360], [3000, 3600, 3600]])
    data = DatasetProperties(
        image_extents_mm=rows,
        region_extents_mm=rows,
        spacings_mm=np.array([[1.0, 1, 1], [1, 1, 1], [9, 9, 9]]),
        input_channels=1,
        number_of_classes=19,
    )
    assert plan_sizes(data, 8) == plan_sizes(properties((310, 360, 360)), 8)


@settings(max_examples=25)
@given(datasets, st.sampled_from(MEMORY))
def test_a_grid_is_never_finer_than_the_data(data, memory):
    image, spacing = data
    sizes = plan_sizes(properties(image, spacing), memory)
    voxels = np.array(image) / np.array(spacing)
    assert np.all(np.array(sizes.grid.input_grid) <= voxels + 1e-6)


@settings(max_examples=25)
@given(datasets, st.sampled_from(MEMORY))
def test_memory_target_voxel_limit_and_divisibility_are_kept(data, memory):
    image, spacing = data
    sizes = plan_sizes(properties(image, spacing), memory)
    grid, network = sizes.grid.input_grid, sizes.network
    assert sizes.memory_gb <= memory
    assert math.prod(grid) <= 128**3
    for axis in range(3):
        assert grid[axis] % math.prod(stride[axis] for stride in network.strides) == 0
    assert all(t <= min(g, 128) for t, g in zip(network.template_grid, grid, strict=True))


@settings(max_examples=25)
@given(st.tuples(edges, edges, edges), st.sampled_from(MEMORY))
def test_a_grid_is_in_proportion_to_what_it_covers(image, memory):
    # data so fine that only memory limits; edges of at least 16 lose less than 1/16 to whole voxels, then at most a
    # tenth to divisibility: voxel edges differ by less than 1 / (0.9 * 15/16) = 1.19
    sizes = plan_sizes(properties(image, (0.1, 0.1, 0.1)), memory)
    if min(sizes.grid.input_grid) >= 16:
        voxel = np.array(image) / np.array(sizes.grid.input_grid)
        assert voxel.max() / voxel.min() < 1.19


@settings(max_examples=20)
@given(datasets)
def test_more_memory_never_gives_a_smaller_batch_nor_fewer_voxels_in_a_step(data):
    # the grid alone may shrink where the batch grows: a batch of 4 is taken as soon as half of the grid fits
    image, spacing = data
    sizes = [plan_sizes(properties(image, spacing), memory) for memory in MEMORY]
    batches, voxels = [s.batch_size for s in sizes], [math.prod(s.grid.input_grid) for s in sizes]
    assert batches == sorted(batches)
    steps = [batch * number for batch, number in zip(batches, voxels, strict=True)]
    assert steps == sorted(steps)
    for batch in set(batches):
        same = [number for number, of in zip(voxels, batches, strict=True) if of == batch]
        assert same == sorted(same)


def test_the_working_grid_is_a_quarter_finer_over_the_whole_image():
    sizes = plan_sizes(CHEST, 8)
    # as fine as 1.25 x the input grid, continued from the region to the image, rounded up
    finer = [1.25 * n * i / e for n, i, e in zip(sizes.grid.input_grid, (300, 360, 360), (275, 198, 308), strict=True)]
    assert sizes.grid.working_grid == tuple(math.ceil(n) for n in finer)


@pytest.mark.parametrize("image", [(2, 300, 300), (300, 2, 300), (2, 2, 300), (2, 2, 2)])
def test_thin_axes_are_planned(image):
    sizes = plan_sizes(properties(image), 8)
    grid = sizes.grid.input_grid
    assert all(1 <= g <= i for g, i in zip(grid, image, strict=True))
    assert grid[image.index(2)] == 2
    assert all(stride[image.index(2)] == 1 for stride in sizes.network.strides)


def test_a_region_of_one_voxel_is_planned():
    sizes = plan_sizes(properties((300, 300, 300), region_mm=(1, 1, 1)), 8)
    assert min(sizes.grid.input_grid) >= 1
    assert sizes.memory_gb <= 8


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ((128, 128, 128), ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))),  # the paper's pyramid, down to 16
        ((16, 40, 12), ((1, 1, 1), (2, 2, 2), (2, 2, 1), (1, 2, 1))),  # 16-8-4-4, 40-20-10-5, 12-6-6-6
        ((7, 8, 2), ((1, 1, 1), (1, 2, 1), (1, 1, 1), (1, 1, 1))),
    ],
)
def test_strides_by_hand(grid, expected):
    assert strides_for(grid) == expected


def test_the_papers_network_on_a_large_gpu():
    network = network_for((128, 128, 128), 32)
    assert network.features_per_stage == (64, 128, 256, 512)
    assert network.template_grid == (128, 128, 128)


@given(st.floats(1, 100))
def test_widths_are_multiples_of_eight_between_16_and_64(memory):
    width = network_for((64, 64, 64), memory).features_per_stage[0]
    assert width % 8 == 0
    assert 16 <= width <= 64


@pytest.mark.parametrize("larger", ["grid", "batch", "points", "channels"])
def test_everything_larger_costs_more_memory(larger):
    data, network = properties((100, 100, 100)), network_for((64, 64, 64), 8)
    least = estimate_memory_gb((64, 64, 64), network, 2, 1000, data)
    more = {
        "grid": lambda: estimate_memory_gb((64, 64, 72), network, 2, 1000, data),
        "batch": lambda: estimate_memory_gb((64, 64, 64), network, 3, 1000, data),
        "points": lambda: estimate_memory_gb((64, 64, 64), network, 2, 2000, data),
        "channels": lambda: estimate_memory_gb((64, 64, 64), network, 2, 1000, properties((100, 100, 100), channels=9)),
    }[larger]()
    assert more > least


@pytest.mark.parametrize(("edge", "width"), [(16, 8), (24, 8), (16, 16)])
def test_the_memory_rule_counts_at_least_what_autograd_saves(edge, width):
    widths = (width, 2 * width, 4 * width, 8 * width)
    network = build_network(NetworkSettings(features_per_stage=widths, template_grid=(4, 4, 4)), 1, 3)
    network.encoder_bfloat16 = False
    parameters = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    saved = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        pyramid = network.encode(torch.randn(1, 1, edge, edge, edge))
    assert len(pyramid) == 4
    values = sum((edge / 2**stage) ** 3 * channels for stage, channels in enumerate(widths))
    maps = sum(saved.values()) / 4 / values  # float32
    assert 0.6 * MAPS_PER_STAGE < maps < MAPS_PER_STAGE

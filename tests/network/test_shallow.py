"""Kernels as long as their volume: gradients are right in training, and prediction stays as it is.

The measured table is that of docs/decisions/0024-bfloat16-on-shallow-volumes.md.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from impulse_nnunet.network import SYSTEMS, NetworkSettings, Task, shallow
from impulse_nnunet.network.build import cpu_has_bfloat16
from impulse_nnunet.network.shallow import ShallowPadded, is_too_shallow

needs_bfloat16 = pytest.mark.skipif(not cpu_has_bfloat16(), reason="needs a CPU with bfloat16 in hardware")
POISONED = [2**power for power in range(4, 19)]  # numbers in a block of memory, about the sizes that tests ask for


@pytest.fixture(autouse=True)
def nothing_logged_yet():
    shallow._log_once.cache_clear()


def poison_free_memory():
    """Leave NaN in memory that is free, so that what reads it unwritten shows."""
    blocks = [torch.full((n,), float("nan"), dtype=kind) for n in POISONED for kind in (torch.float32, torch.bfloat16)]
    del blocks


@pytest.mark.parametrize(
    ("kernel", "grid"),
    [
        *[((3, 3, 3), (2, size, size)) for size in (2, 6, 8, 16)],
        *[((5, 3, 3), (depth, 6, 6)) for depth in (2, 3, 4)],
        *[((7, 7, 7), (depth, 8, 8)) for depth in (2, 3, 4, 5, 6)],
        *[((3, 1, 1), (2, 8, 8)), ((5, 5, 5), (8, 1, 8)), ((3, 3, 3), (8, 1, 8)), ((3, 3, 3), (8, 8, 1))],
        *[((7, 7, 7), (7, 12, 12)), ((7, 7, 5), (6, 5, 7))],
    ],
)
def test_every_kind_of_gradient_that_was_wrong_is_among_them(kernel, grid):
    assert is_too_shallow(kernel, grid)


@pytest.mark.parametrize(
    ("kernel", "grid"),
    [((1, 1, 1), (1, 1, 1)), ((1, 3, 3), (1, 4, 4)), ((3, 3, 3), (4, 4, 4)), ((7, 7, 7), (8, 9, 10))],
)
def test_a_volume_longer_than_the_kernel_is_not(kernel, grid):
    assert not is_too_shallow(kernel, grid)


class Recorder(TorchFunctionMode):
    """Notes padding and size of the volume of each convolution that comes out of the modes within it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.conv3d:
            self.seen.append(
                ((kwargs or {}).get("padding", args[4] if len(args) > 4 else None), tuple(args[0].shape[2:]))
            )
        return func(*args, **(kwargs or {}))


def test_too_shallow_a_volume_is_padded_first():
    # 2 + 2 * 4 along d, 4 + 2 * 1 along h, 6 + 2 * 0 along w
    layer = nn.Conv3d(2, 4, (5, 3, 1), stride=(1, 2, 1), padding=(4, 1, 0), dilation=(2, 1, 1), groups=2)
    volume = torch.randn(1, 2, 2, 4, 6)
    with Recorder() as recorder, ShallowPadded():
        found = layer(volume)
    assert recorder.seen == [(0, (10, 6, 6))]
    torch.testing.assert_close(found, layer(volume))


def test_without_gradients_and_in_deeper_volumes_nothing_is_padded():
    layer, shallow_volume, deep_volume = (
        nn.Conv3d(2, 3, 3, padding=1),
        torch.randn(1, 2, 3, 4, 4),
        torch.randn(1, 2, 4, 4, 4),
    )
    with Recorder() as recorder, ShallowPadded():
        with torch.no_grad():
            layer(shallow_volume)
        layer(deep_volume)
    assert recorder.seen == [((1, 1, 1), (3, 4, 4)), ((1, 1, 1), (4, 4, 4))]


@pytest.mark.parametrize("padding", [0, "same", "valid"])
def test_convolutions_that_pad_nothing_or_by_themselves_are_left_alone(padding):
    volume, kernel = torch.randn(1, 2, 3, 4, 4), torch.randn(2, 2, 3, 3, 3)
    with Recorder() as recorder, ShallowPadded():
        found = functional.conv3d(volume, kernel, padding=padding)
    assert recorder.seen == [(padding, (3, 4, 4))]
    assert torch.equal(found, functional.conv3d(volume, kernel, padding=padding))


def localizer(search_grid):
    """Three strides of 2: the last stage has an eighth of the grid."""
    sizes = NetworkSettings(
        features_per_stage=(16, 32, 64, 128),
        strides=((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2)),
        blocks_per_stage=(2, 2, 2, 2),
        template_grid=(4, 4, 4),
    )
    task = Task(settings=sizes, input_channels=1, number_of_classes=3, input_grid=(32,) * 3, search_grid=search_grid)
    network = SYSTEMS["impulse_plus"].build(task).localizer
    network.encoder_bfloat16 = True
    return network


def test_a_training_says_so_once(caplog):
    network = localizer((16, 24, 32))
    for _ in range(2):
        network.encode(torch.randn(1, 1, 16, 24, 32))
    (record,) = caplog.records
    assert record.getMessage() == (
        "a convolution with a kernel of 3 x 3 x 3 has a volume of 2 x 3 x 4 voxels: it is padded first in training, "
        "because gradients on CPUs can be wrong otherwise"
    )


def test_prediction_and_deeper_grids_say_nothing(caplog):
    network = localizer((16, 24, 32))
    network.encode(torch.randn(1, 1, 32, 32, 32))
    with torch.inference_mode():
        network.encode(torch.randn(1, 1, 16, 24, 32))
    assert not caplog.records


def gradients_of(volume, kernel, seed, **how):
    volume, kernel = volume.clone().requires_grad_(), kernel.clone().requires_grad_()
    output = functional.conv3d(volume, kernel, **how)
    from_above = torch.randn(output.shape, generator=torch.Generator().manual_seed(seed)).bfloat16()
    output.backward(from_above.to(output.dtype))
    return kernel.grad, volume.grad


def along_each_axis(values):
    return st.tuples(values, values, values)


@pytest.mark.parametrize(
    ("precision", "error"),
    # bfloat16 keeps 8 bits: 2^-9 off at most in each value, and as much again for sums in another order
    [(torch.float32, 1e-5), pytest.param(torch.bfloat16, 2**-8, marks=needs_bfloat16)],
)
@given(
    kernel=along_each_axis(st.sampled_from([1, 3, 5, 7])),
    grid=along_each_axis(st.integers(1, 8)),
    stride=along_each_axis(st.integers(1, 2)),
    channels=st.sampled_from([1, 8, 16, 20]),
    batch=st.integers(1, 2),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last_3d]),
    seed=st.integers(0, 99),
)
def test_gradients_are_those_of_float64(precision, error, kernel, grid, stride, channels, batch, layout, seed):
    random = torch.Generator().manual_seed(seed)
    # values that bfloat16 has, so that only results are rounded
    volume = torch.randn(batch, channels, *grid, generator=random).bfloat16().to(memory_format=layout)
    weights = torch.randn(16, channels, *kernel, generator=random).bfloat16()
    how = {"stride": stride, "padding": [taps // 2 for taps in kernel]}
    expected = gradients_of(volume.double(), weights.double(), seed, **how)
    for _ in range(2):
        poison_free_memory()
        with ShallowPadded():
            found = gradients_of(volume.to(precision), weights.to(precision), seed, **how)
        for one, other in zip(found, expected, strict=True):
            assert (one - other).norm() <= error * other.norm()


@needs_bfloat16
@pytest.mark.parametrize("search_grid", [(16, 16, 16), (8, 16, 24), (16, 24, 24)])
def test_a_networks_gradients_are_those_of_float32_and_the_same_each_time(search_grid):
    network, image = localizer(search_grid), torch.randn(2, 1, *search_grid)
    steps = []
    for fast in (False, True, True, True):
        poison_free_memory()
        network.encoder_bfloat16 = fast
        network.zero_grad()
        network.encode(image)[0].square().mean().backward()
        # biases before a norm are left out: they have no gradient but rounding
        steps.append({k: v.grad.clone() for k, v in network.named_parameters() if not k.endswith("conv.bias")})
    exact, *fast_ones = steps
    for found in fast_ones:
        for name, expected in exact.items():
            # rounded in each of 19 layers and back; what was wrong was NaN, or off by more than its own size
            assert functional.cosine_similarity(found[name].flatten(), expected.flatten(), dim=0) > 0.8, name
            assert 0.7 < found[name].norm() / expected.norm() < 1.4, name
            assert torch.equal(found[name], fast_ones[0][name]), name

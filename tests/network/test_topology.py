import pytest
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props

from impulse_nnunet.network.topology import nnunet_settings, spacing_of


@pytest.mark.parametrize(
    ("grid", "spacing"),
    [
        ((128, 128, 128), (1.0, 1.0, 1.0)),
        ((64, 64, 64), (2.5, 3.0, 3.0)),
        ((32, 96, 64), (5.0, 0.8, 0.8)),
        ((16, 320, 256), (6.0, 0.7, 0.7)),
        ((40, 56, 40), (1.0, 1.0, 1.0)),
        ((8, 8, 12), (1.0, 1.0, 1.0)),
    ],
)
def test_it_is_what_nnunet_would_plan(grid, spacing):
    _, strides, kernels, padded, _ = get_pool_and_conv_props(spacing, grid, 4, 999999)
    assert tuple(padded) == grid  # nnU-Net leaves these grids alone, so the two must agree
    settings = nnunet_settings(grid, spacing)
    assert settings.strides == strides
    assert settings.kernel_sizes == kernels
    assert settings.features_per_stage[:3] == (32, 64, 128)[: len(strides)]
    assert max(settings.features_per_stage) <= 320


def test_an_axis_that_cannot_be_halved_stays():
    # nnU-Net would pad 72 to 80 to halve it a fourth time (72 -> 36 -> 18 -> 9)
    strides = nnunet_settings((72, 128, 128), (1.0, 1.0, 1.0)).strides
    assert [stride[0] for stride in strides] == [1, 2, 2, 2, 1, 1]
    assert [stride[1] for stride in strides] == [1, 2, 2, 2, 2, 2]


def test_spacing_of_a_grid():
    assert spacing_of((100.0, 60.0, 30.0), (10, 20, 30)) == (10.0, 3.0, 1.0)
    assert spacing_of(None, (10, 20, 30)) == (1.0, 1.0, 1.0)

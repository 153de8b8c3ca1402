import pytest
import torch

from impulse_nnunet.network import NetworkSettings
from impulse_nnunet.network.encoder import ResNetPyramid


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_levels_follow_widths_and_strides_axis_by_axis(norm):
    settings = NetworkSettings(
        features_per_stage=(4, 6, 8), strides=((1, 1, 1), (1, 2, 2), (2, 2, 1)), blocks_per_stage=(1, 1, 1), norm=norm
    )
    encoder = ResNetPyramid(3, settings)
    levels = encoder(torch.randn(2, 3, 4, 8, 12))
    # (4, 8, 12) / (1, 2, 2) = (4, 4, 6); / (2, 2, 1) = (2, 2, 6)
    assert [tuple(level.shape) for level in levels] == [(2, 4, 4, 8, 12), (2, 6, 4, 4, 6), (2, 8, 2, 2, 6)]
    assert encoder.output_channels == [4, 6, 8]


def test_the_papers_encoder_has_960_channels():
    with torch.device("meta"):
        encoder = ResNetPyramid(4, NetworkSettings(stem_kernel_size=7, norm="batch"))
        levels = encoder(torch.empty(1, 4, 32, 32, 32))
    assert sum(level.shape[1] for level in levels) == sum(encoder.output_channels) == 960
    assert [level.shape[-1] for level in levels] == [32, 16, 8, 4]


def test_a_stem_kernel_of_seven_sees_three_voxels_to_each_side():
    encoder = ResNetPyramid(
        1,
        NetworkSettings(
            features_per_stage=(2,), strides=((1, 1, 1),), blocks_per_stage=(1,), stem_kernel_size=7, norm="batch"
        ),
    ).eval()
    image = torch.zeros(1, 1, 9, 9, 9, requires_grad=True)
    encoder.stem(image + 1)[0, :, 4, 4, 4].abs().sum().backward()
    touched = image.grad[0, 0].nonzero()
    assert touched.min(0).values.tolist() == [1, 1, 1]
    assert touched.max(0).values.tolist() == [7, 7, 7]

from dataclasses import replace

import pytest
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.network import NetworkSettings, build_network
from impulse_nnunet.network.encoders import build_encoder

SETTINGS = NetworkSettings(
    features_per_stage=(4, 6, 8),
    strides=((1, 1, 1), (1, 2, 2), (2, 2, 1)),
    blocks_per_stage=(1, 2, 1),
    template_grid=(4, 4, 4),
)
PACKAGE = "dynamic_network_architectures"
RESIDUAL = f"{PACKAGE}.building_blocks.residual_encoders.ResidualEncoder"
RESIDUAL_UNET = f"{PACKAGE}.architectures.unet.ResidualEncoderUNet"


@pytest.mark.parametrize("encoder", ["resnet18", "unet_encoder", "unet", RESIDUAL, RESIDUAL_UNET])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_every_encoder_gives_the_same_pyramid(encoder, norm):
    made = build_encoder(replace(SETTINGS, encoder=encoder, norm=norm), 3)
    levels = made(torch.randn(2, 3, 4, 8, 12))
    # (4, 8, 12) / (1, 2, 2) = (4, 4, 6); / (2, 2, 1) = (2, 2, 6)
    assert [tuple(level.shape) for level in levels] == [(2, 4, 4, 8, 12), (2, 6, 4, 4, 6), (2, 8, 2, 2, 6)]
    assert list(made.output_channels) == [4, 6, 8]
    norms = {type(module).__name__ for module in made.modules() if "Norm" in type(module).__name__}
    assert norms == {"InstanceNorm" if norm == "instance" else "BatchNorm3d"} | (
        {"ConvDropoutNormReLU"} if any("ConvDropoutNorm" in type(m).__name__ for m in made.modules()) else set()
    )


@pytest.mark.parametrize("encoder", ["unet_encoder", "unet", RESIDUAL, RESIDUAL_UNET])
def test_every_encoder_trains_under_both_heads(encoder):
    network = build_network(replace(SETTINGS, encoder=encoder), 3, 4)
    for head in (network.decoder.deformation, network.decoder.correction):
        torch.nn.init.normal_(head.last.weight)
    network.decoder.template.set_logits(torch.randn(4, 4, 4, 4))
    network(torch.randn(1, 3, 4, 8, 12), torch.rand(1, 9, 3)).logits.square().sum().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_kernels_of_the_plans_are_used():
    kernels = ((1, 3, 3), (3, 3, 3), (3, 5, 3))
    for encoder in ("resnet18", "unet_encoder"):
        made = build_encoder(replace(SETTINGS, encoder=encoder, kernel_sizes=kernels), 3)
        found = {tuple(m.kernel_size) for m in made.stages.modules() if isinstance(m, torch.nn.Conv3d)}
        assert found - {(1, 1, 1)} == set(kernels)  # 1^3: the shortcuts


@pytest.mark.parametrize(
    ("encoder", "found"),
    [
        (f"{PACKAGE}.architectures.unet.Missing", "no such class"),
        (f"{PACKAGE}.no_module.Missing", "no such class"),
        (f"{PACKAGE}.building_blocks.simple_conv_blocks.StackedConvBlocks", "a class that makes no feature pyramid"),
        (f"{PACKAGE}.initialization.weight_init.InitWeights_He", "no network"),
    ],
)
def test_a_class_that_is_no_encoder_is_refused(encoder, found):
    with pytest.raises(InputError, match=f"arch_kwargs.encoder {encoder}: found {found}, expected resnet18, unet_enc"):
        build_encoder(replace(SETTINGS, encoder=encoder), 3)

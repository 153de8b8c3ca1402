import pytest
import torch
from torch import nn

from impulse_nnunet.network import NetworkSettings, build_network
from impulse_nnunet.network.channels_last import AveragePool, InstanceNorm, channels_last, is_channels_last


def both(layer, stock, shape):
    """Values and gradients of a layer on channels-last memory, and of PyTorch's own on plain memory."""
    torch.manual_seed(0)
    values = torch.randn(shape, dtype=torch.float64)
    results = []
    for module, memory in ((layer, channels_last(values)), (stock, values.clone())):
        image = memory.requires_grad_()
        output = module.double()(image)
        (output * torch.linspace(-1, 1, output.numel()).view(output.shape)).sum().backward()
        results.append((output, image.grad, *[parameter.grad for parameter in module.parameters()]))
    return results


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("affine", [True, False])
def test_instance_norm_is_pytorchs(batch, affine):
    layer, stock = (kind(5, affine=affine) for kind in (InstanceNorm, nn.InstanceNorm3d))
    if affine:
        for norm in (layer, stock):
            nn.init.constant_(norm.weight, 1.5)
            nn.init.constant_(norm.bias, -0.3)
    ours, theirs = both(layer, stock, (batch, 5, 4, 6, 8))
    assert is_channels_last(ours[0])
    for found, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("stride", [(2, 2, 2), (1, 2, 2), (2, 1, 1), (1, 1, 1), (3, 2, 4)])
def test_average_pool_is_pytorchs(batch, stride):
    ours, theirs = both(AveragePool(stride), nn.AvgPool3d(stride, stride), (batch, 5, 6, 6, 8))
    assert is_channels_last(ours[0])
    for found, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_average_pool_of_sizes_that_do_not_divide_is_pytorchs():
    ours, theirs = both(AveragePool((2, 2, 2)), nn.AvgPool3d(2, 2), (1, 5, 7, 6, 9))
    assert torch.equal(ours[0], theirs[0])


def test_plain_memory_is_pytorchs_own():
    image = torch.randn(2, 5, 4, 6, 8)
    assert torch.equal(InstanceNorm(5)(image), nn.InstanceNorm3d(5)(image))
    assert torch.equal(AveragePool((2, 2, 2))(image), nn.AvgPool3d(2, 2)(image))


@pytest.mark.parametrize("channels", [1, 4])
def test_images_of_any_number_of_channels_get_there(channels):
    image = torch.randn(2, channels, 4, 6, 8)
    assert torch.equal(channels_last(image), image)
    assert channels_last(image).stride() == (4 * 6 * 8 * channels, 1, 6 * 8 * channels, 8 * channels, channels)


@pytest.mark.parametrize("channels", [1, 4])
def test_the_encoder_keeps_channels_last_from_end_to_end(channels):
    settings = NetworkSettings(
        features_per_stage=(16, 32), strides=((1, 1, 1), (2, 2, 2)), blocks_per_stage=(2, 2), template_grid=(4, 4, 4)
    )
    network = build_network(settings, channels, 3)
    network.encoder_bfloat16 = True
    if not torch.cpu._is_avx512_bf16_supported():
        pytest.skip("needs a CPU with AVX-512 BF16, where convolutions take this layout")
    assert all(is_channels_last(level) for level in network.encode(torch.randn(1, channels, 16, 16, 16)))

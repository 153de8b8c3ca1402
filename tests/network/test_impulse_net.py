import hashlib

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn
from torch.nn import functional

from impulse_nnunet.network import ImPulSeNet, NetworkSettings, PointDecoder, build_network
from impulse_nnunet.network.heads import PointHead
from impulse_nnunet.network.template import Template
from tests.support import perturb_heads, small_network


class Shrink(nn.Module):
    """The smallest thing that can stand in the encoder's place: the image, and the image at half its size."""

    def forward(self, image):
        return [image, functional.avg_pool3d(image, 2)]


def image_and_points():
    return torch.randn(2, 2, 4, 6, 8), torch.rand(2, 30, 3) * 2 - 1


def test_a_fresh_network_gives_back_its_template_and_moves_nothing():
    network = small_network(classes=3).eval()
    logits = np.random.default_rng(0).normal(size=(3, 4, 6, 8)).astype(np.float32)
    network.decoder.template.set_logits(torch.tensor(logits))
    image, points = image_and_points()
    prediction = network(image, points)
    index = (((points.double().numpy() + 1) * np.array([4, 6, 8])) - 1) / 2
    expected = np.stack(
        [ndimage.map_coordinates(c, index.reshape(-1, 3).T, order=1, mode="nearest").reshape(2, 30) for c in logits], -1
    )
    np.testing.assert_allclose(prediction.logits.detach(), expected, atol=1e-5)
    assert torch.count_nonzero(prediction.displacement) == 0


def test_logits_are_template_at_the_displaced_point_plus_correction():
    network = small_network(classes=3).eval()
    # Eq. 9 with constant heads: D = (0.5, 0, -0.25) after tanh, C = (1, 2, 3); the template's logit of class c is c * h
    decoder = network.decoder
    with torch.no_grad():
        decoder.deformation.last.bias.copy_(torch.atanh(torch.tensor([0.0, 0.5, -0.25])))
        decoder.correction.last.bias.copy_(torch.tensor([1.0, 2, 3]))
    height = ((torch.arange(6) + 0.5) / 3 - 1)[None, None, :, None]
    decoder.template.set_logits((torch.arange(3.0)[:, None, None, None] * height).expand(3, 4, 6, 8))
    prediction = network(torch.randn(1, 2, 4, 6, 8), torch.tensor([[[0.3, -0.2, 0.1]]]))
    torch.testing.assert_close(prediction.displacement[0, 0], torch.tensor([0.0, 0.5, -0.25]))
    # h = -0.2 + 0.5 = 0.3, so T = (0, 0.3, 0.6)
    torch.testing.assert_close(prediction.logits[0, 0], torch.tensor([1.0, 2.3, 3.6]))


def test_displacements_stay_below_one():
    network = perturb_heads(small_network(), scale=100)
    displacement = network(*image_and_points()).displacement
    assert displacement.abs().max() <= 1
    assert displacement.abs().max() > 0.9


def test_every_parameter_has_a_finite_gradient():
    network = perturb_heads(small_network())
    network.decoder.template.set_logits(torch.randn(3, 4, 6, 8))
    prediction = network(*image_and_points())
    (prediction.logits.square().sum() + prediction.displacement.square().sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert network.encoder.stem.convs[0].conv.weight.grad.abs().sum() > 0


def test_without_points_the_network_says_what_it_is():
    with pytest.raises(
        TypeError, match="called with an image and no points, expected both; this network is not a sliding"
    ):
        small_network()(torch.randn(1, 2, 4, 6, 8))


def test_any_encoder_that_returns_a_pyramid_fits():
    heads = PointHead(2 * 2 + 3, 8, 3, 0.0), PointHead(2 * 2 + 3, 8, 4, 0.0)
    network = ImPulSeNet(Shrink(), PointDecoder(*heads, Template(4, (4, 4, 4))))
    prediction = network(*image_and_points())
    assert prediction.logits.shape == (2, 30, 4)
    assert prediction.displacement.shape == (2, 30, 3)


def test_point_encoding_is_every_level_at_the_point_and_the_point():
    image = torch.zeros(1, 1, 2, 2, 2)
    image[0, 0, 1, 0, 1] = 8
    point = torch.tensor([[[0.5, -0.5, 0.5]]])  # the centre of voxel (1, 0, 1)
    # finest level: 8; level of one voxel: the mean, 8 / 8 = 1; then the point itself
    encoding = PointDecoder.encode_points(Shrink()(image), point)
    torch.testing.assert_close(encoding[0, 0], torch.tensor([8.0, 1.0, 0.5, -0.5, 0.5]))


def test_points_do_not_influence_each_other():
    network = perturb_heads(small_network()).eval()
    image, points = image_and_points()
    all_at_once = network(image, points).logits
    torch.testing.assert_close(network(image, points[:, 7:9]).logits, all_at_once[:, 7:9])


def test_sizes_of_the_release():
    settings = NetworkSettings(stem_kernel_size=7, norm="batch", head_dropout=0.3)
    with torch.device("meta"):
        decoder = build_network(settings, 4, 19).decoder
    # FACTS: 960 channels + 3 coordinates into both heads; the template is a buffer
    assert sum(p.numel() for p in decoder.deformation.parameters()) == 123_715
    assert sum(p.numel() for p in decoder.parameters()) == 123_715 + 124_755
    assert decoder.template.logits.shape == (1, 19, 128, 128, 128)


def test_the_fast_encoder_agrees_with_the_exact_one():
    network = small_network().eval()
    image, _ = image_and_points()
    with torch.no_grad():
        network.encoder_bfloat16 = False
        exact = network.encode(image)
        network.encoder_bfloat16 = True
        fast_levels = network.encode(image)
    for fast, level in zip(fast_levels, exact, strict=True):
        assert fast.dtype == torch.bfloat16
        # bfloat16 keeps 8 bits: half a per cent in each of a handful of layers, on values of order 1
        assert (fast.float() - level).abs().mean() < 0.03 * level.abs().mean()


def test_networks_from_before_the_switches_load_and_give_the_same_numbers():
    # recorded with the version before encoder, template, deformation and correction could be switched
    network = small_network().eval()
    network.encoder_bfloat16 = False
    names = sorted((name, tuple(value.shape)) for name, value in network.state_dict().items())
    digest = hashlib.sha256(repr(names).encode()).hexdigest()
    assert digest == "380fae07e6d86c61f570b3201a48ebb20eca3ae55fcddf652871f74ef02264a1"
    with torch.no_grad():
        for head in (network.decoder.deformation, network.decoder.correction):
            head.last.weight.fill_(0.1)
        network.decoder.template.set_logits(torch.linspace(-1, 1, 3 * 4 * 6 * 8).reshape(3, 4, 6, 8))
        image = torch.linspace(-1, 1, 2 * 4 * 6 * 8).reshape(1, 2, 4, 6, 8)
        prediction = network(image, torch.tensor([[[0.3, -0.2, 0.1], [-0.9, 0.8, 0.0]]]))
    logits = [[-0.1030342, 0.5647919, 1.2326180], [-0.4622727, 0.2055534, 0.8733795]]
    torch.testing.assert_close(prediction.logits[0], torch.tensor(logits), rtol=0, atol=1e-5)
    moved = torch.tensor([[0.3311580] * 3, [0.3069308] * 3])
    torch.testing.assert_close(prediction.displacement[0], moved, rtol=0, atol=1e-5)


def test_points_heads_and_template_are_float32_under_any_autocast():
    network = perturb_heads(small_network()).eval()
    network.encoder_bfloat16 = False
    image, points = image_and_points()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pyramid, found = network.encode(image), network(image, points)
    assert pyramid[0].dtype == torch.bfloat16
    assert found.logits.dtype == found.displacement.dtype == torch.float32
    expected = network.decoder(pyramid, points)
    assert torch.equal(found.logits, expected.logits)
    assert torch.equal(found.displacement, expected.displacement)

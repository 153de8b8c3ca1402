"""The paper's systems, and what each switch changes, seen on the parts of the networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from scipy import ndimage
from torch import nn

from impulse_nnunet.geometry.coordinates import grid_points
from impulse_nnunet.network import SYSTEMS, DenseDecoder, NetworkSettings, Task, build_network
from impulse_nnunet.network.dense import DeepLabHead, FCNHead
from impulse_nnunet.network.template import CoTrainedTemplate
from tests.support import SMALL

GRID = (8, 12, 16)
PAPER = NetworkSettings(stem_kernel_size=7, norm="batch", head_dropout=0.3)
DENSE = [name for name, system in SYSTEMS.items() if system.dense]


def built(system, settings=SMALL, classes=3, **task):
    return SYSTEMS[system].build(
        Task(settings=settings, input_channels=2, number_of_classes=classes, input_grid=GRID, **task)
    )


def count(module):
    return 0 if module is None else sum(p.numel() for p in module.parameters())


def parts(network):
    decoder = network.decoder
    names = ("deformation", "correction", "template")
    return {"encoder": network.encoder} | {name: getattr(decoder, name, None) for name in names}


def shapes(module):
    return None if module is None else {name: tuple(value.shape) for name, value in module.state_dict().items()}


def test_the_papers_parameter_counts():
    with torch.device("meta"):
        network = SYSTEMS["impulse_plus"].build(
            Task(settings=PAPER, input_channels=4, number_of_classes=19, input_grid=(128, 128, 128))
        )
        co_trained = CoTrainedTemplate(19, (128, 128, 128))
    # FACTS of the release, 4 input channels and 19 classes
    assert count(network.encoder) == 33_225_856
    assert count(network.decoder.deformation) == 123_715
    assert count(network.decoder.correction) == 124_755
    assert count(network.decoder.template) == 0  # a buffer
    assert count(co_trained) == 47_173_209


@pytest.mark.parametrize(
    ("switches", "changed"),
    [
        ({"template": False, "deformation": False}, {"template", "deformation"}),
        ({"deformation": False}, {"deformation"}),
        ({"correction": False}, {"correction"}),
        ({"encoder": "unet_encoder"}, {"encoder"}),
        ({"encoder": "unet"}, {"encoder"}),
    ],
)
def test_a_switch_changes_what_it_names(switches, changed):
    before, after = parts(build_network(SMALL, 2, 3)), parts(build_network(replace(SMALL, **switches), 2, 3))
    assert {name for name in before if shapes(before[name]) != shapes(after[name])} == changed
    absent = {name for name, part in after.items() if part is None}
    assert absent == {name for name, value in switches.items() if value is False}


def test_co_training_adds_the_generator_and_nothing_else():
    before, after = parts(build_network(SMALL, 2, 3)), parts(build_network(SMALL, 2, 3, co_trained=True))
    for name in ("encoder", "deformation", "correction"):
        assert shapes(before[name]) == shapes(after[name])
    added = set(after["template"].state_dict()) - set(before["template"].state_dict())
    assert added
    assert all(name.startswith("generator.") for name in added)


def test_impulse_is_the_correction_head_alone():
    plus, first = built("impulse_plus"), built("impulse")
    assert shapes(first.encoder) == shapes(plus.encoder)
    assert shapes(first.decoder.correction) == shapes(plus.decoder.correction)
    assert first.decoder.deformation is first.decoder.template is None
    assert not first.decoder.moves_points
    nn.init.normal_(first.decoder.correction.last.weight)
    image, points = torch.randn(1, 2, *GRID), torch.rand(1, 5, 3) * 2 - 1
    first.eval()
    prediction = first(image, points)
    # logits = C(F(p)), and nothing moves
    encoding = first.decoder.encode_points(first.encode(image), points)
    torch.testing.assert_close(prediction.logits, first.decoder.correction(encoding))
    assert torch.count_nonzero(prediction.displacement) == 0


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_trains_every_parameter(system):
    network = built(system)
    points = torch.rand(2, 30, 3) * 2 - 1
    for head in (parts(network)["deformation"], parts(network)["correction"]):
        if head is not None:
            nn.init.normal_(head.last.weight)
    if system == "impulse_plus":
        network.decoder.template.set_logits(torch.randn(network.decoder.template.logits.shape[1:]))
    prediction = network(torch.randn(2, 2, *GRID), points)
    assert prediction.logits.shape == (2, 30, 3)
    assert prediction.displacement.shape == (2, 30, 3)
    (prediction.logits.square().sum() + prediction.displacement.square().sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("system", DENSE)
def test_dense_systems_give_float32_logits_on_the_input_grid(system):
    network = built(system, classes=5)
    network.encoder_bfloat16 = True
    (logits,) = network.encode(torch.randn(2, 2, *GRID))
    assert logits.shape == (2, 5, *GRID)
    assert logits.dtype == torch.float32


def test_dense_logits_are_interpolated_as_scipy_does():
    rng = np.random.default_rng(0)
    logits, points = rng.normal(size=(3, 4, 6, 8)), rng.uniform(-1, 1, (40, 3))
    found = DenseDecoder(3)([torch.tensor(logits)[None]], torch.tensor(points, dtype=torch.float32)[None]).logits[0]
    index = ((points + 1) * np.array([4, 6, 8]) - 1) / 2
    expected = [ndimage.map_coordinates(c, index.T, order=1, mode="nearest") for c in logits]
    np.testing.assert_allclose(found, np.stack(expected, -1), atol=1e-5)


def test_at_the_voxel_centres_dense_logits_are_the_voxels():
    logits = torch.randn(2, 3, 4, 6, 8)
    voxels = logits.flatten(2).transpose(1, 2)
    found = DenseDecoder(3)([logits], None)
    assert torch.equal(found.logits, voxels)
    assert torch.equal(found.displacement, torch.zeros(2, 4 * 6 * 8, 3))
    points = grid_points((4, 6, 8)).reshape(1, -1, 3).expand(2, -1, -1)
    torch.testing.assert_close(DenseDecoder(3)([logits], points).logits, voxels, atol=1e-5, rtol=0)
    moved = points.clone()
    moved[1, 7, 0] += 0.1  # as many points, but not the voxel centres
    expected = nn.functional.grid_sample(logits, moved.flip(-1)[:, :, None, None], align_corners=False)
    found = DenseDecoder(3)([logits], moved).logits
    torch.testing.assert_close(found, expected[..., 0, 0].transpose(1, 2), atol=1e-5, rtol=0)
    assert not torch.equal(found[1, 7], logits[1].flatten(1)[:, 7])


def test_dense_networks_alone_can_do_without_points():
    network, image = built("fcn"), torch.randn(1, 2, *GRID)
    (logits,) = network.encode(image)
    assert torch.equal(network(image, at_voxels=True).logits, logits.flatten(2).transpose(1, 2))
    with pytest.raises(TypeError, match="no points"):
        network(image)
    with pytest.raises(TypeError, match="no points"):
        built("impulse")(image, at_voxels=True)


@pytest.mark.parametrize("stride", [(1, 2, 4), (8, 8, 8), (3, 1, 2)])
def test_fcns_transposed_convolution_starts_as_linear_interpolation(stride):
    head = FCNHead(1, 2, stride)
    nn.init.ones_(head.to_classes.weight)
    nn.init.zeros_(head.to_classes.bias)
    small = [4, 5, 6]
    grid = [n * s for n, s in zip(small, stride, strict=True)]
    features = torch.randn(1, 1, *small)
    enlarged = head.logits(features, grid)
    assert enlarged.shape == (1, 2, *grid)
    expected = nn.functional.interpolate(features, size=grid, mode="trilinear", align_corners=False)
    inner = tuple(slice(s, n - s) for n, s in zip(grid, stride, strict=True))  # borders fade to zero in FCN
    torch.testing.assert_close(enlarged[0, 1][inner], expected[0, 0][inner], atol=1e-5, rtol=0)


def test_fcn_of_the_paper():
    with torch.device("meta"):
        network = SYSTEMS["fcn"].build(
            Task(settings=PAPER, input_channels=4, number_of_classes=19, input_grid=(128, 128, 128))
        )
    # ResNet-18, 512 x 19 weights and 19 biases, a 16^3 kernel between 19 and 19 channels
    assert count(network) == 33_225_856 + 512 * 19 + 19 + 19 * 19 * 16**3


def test_deeplabs_rates_are_the_shares_of_its_own():
    head = DeepLabHead(512, 19, (16, 16, 33), "batch")
    rates = [branch[0].dilation for branch in head.branches]
    # 6, 12 and 18 on a map of 33; on 16: 2.9, 5.8 and 8.7
    assert rates == [(1, 1, 1), (3, 3, 6), (6, 6, 12), (9, 9, 18)]
    # 256 channels as in DeepLabv3: a 1^3 and three 3^3 branches, norms, the pooled branch, 1^3 of 5 x 256, classes
    branches = 512 * 256 * (1 + 3 * 27) + 4 * 2 * 256
    assert count(head) == branches + 512 * 256 + 256 + 5 * 256 * 256 + 2 * 256 + 256 * 19 + 19


def stock_unet(stages):
    """What nnU-Net builds from its default plans, with 2 channels and 3 classes."""
    return PlainConvUNet(
        2,
        stages,
        [32, 64, 128, 256][:stages],
        nn.Conv3d,
        3,
        [1, 2, 2, 2][:stages],
        2,
        3,
        2,
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
    )


def test_low_resolution_has_the_size_of_nnunets_own_network():
    with torch.device("meta"):
        network = SYSTEMS["low_resolution"].build(
            Task(settings=SMALL, input_channels=2, number_of_classes=3, input_grid=(32, 32, 32))
        )
        stock = stock_unet(stages=4)  # 32 -> 16 -> 8 -> 4
    deep_supervision = sum(count(layer) for layer in stock.decoder.seg_layers[:-1])
    assert count(network) == count(stock) - deep_supervision


def test_low_resolution_computes_what_nnunets_own_network_does():
    network, stock = built("low_resolution").eval(), stock_unet(stages=2).eval()  # 8 x 12 x 16 is halved once
    dense = network.encoder
    stock.encoder.load_state_dict(dense.pyramid.encoder.state_dict())
    stock.decoder.stages.load_state_dict(dense.pyramid.stages.state_dict())
    stock.decoder.transpconvs.load_state_dict(dense.pyramid.transpconvs.state_dict())
    stock.decoder.seg_layers[-1].load_state_dict(dense.head.to_classes.state_dict())
    image = torch.randn(1, 2, *GRID)
    network.encoder_bfloat16 = False
    torch.testing.assert_close(network.encode(image)[0], stock(image))


def test_a_co_trained_template_follows_its_generator():
    network = build_network(SMALL, 2, 3, co_trained=True)
    template = network.decoder.template
    network.train()
    points = torch.rand(1, 9, 3) * 2 - 1
    template(points).sum().backward()
    assert template.generator.code.grad.abs().sum() > 0
    assert torch.count_nonzero(template.logits) == 0
    network.eval()
    expected = template.generator()[0]
    torch.testing.assert_close(template.logits[0], expected)
    network.train()
    with torch.no_grad():
        template.generator.to_classes[1].bias.add_(1.0)
    state = network.state_dict()  # saved amid training: the buffer holds the generator of now
    torch.testing.assert_close(state["decoder.template.logits"][0], expected + 1, atol=1e-5, rtol=0)
    assert template.generator.training


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_localizer_comes_beside_every_system_and_changes_nothing_of_it(system):
    torch.manual_seed(0)
    alone = built(system)
    torch.manual_seed(0)
    with_localizer = built(system, search_grid=(4, 6, 8))
    weights = {name: value for name, value in with_localizer.state_dict().items() if not name.startswith("localizer.")}
    assert weights.keys() == alone.state_dict().keys()
    assert all(torch.equal(value, weights[name]) for name, value in alone.state_dict().items())
    assert alone.localizer is None
    assert count(with_localizer) == count(alone) + count(with_localizer.localizer)


def test_a_localizer_is_a_u_net_of_a_quarter_of_the_width():
    settings = NetworkSettings(features_per_stage=(64, 128, 256, 512))
    with torch.device("meta"):
        network = built("impulse_plus", settings, search_grid=(64, 64, 64)).localizer
    # nnU-Net's own network of the same sizes, two classes, no deep supervision
    stock = PlainConvUNet(
        2,
        4,
        (16, 32, 64, 128),
        nn.Conv3d,
        3,
        (1, 2, 2, 2),
        2,
        2,
        2,
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
    )
    unused = sum(p.numel() for layer in stock.decoder.seg_layers[:-1] for p in layer.parameters())
    assert count(network) == count(stock) - unused


def test_the_networks_prediction_is_the_same_with_a_localizer_and_the_localizers_comes_second():
    network = built("impulse_plus", search_grid=(4, 6, 8)).eval()
    image, points, whole = torch.randn(1, 2, *GRID), torch.rand(1, 7, 3) * 2 - 1, torch.randn(1, 2, 4, 6, 8)
    alone = network(image, points)
    prediction, found = network(image, points, (whole, points))
    assert torch.equal(prediction.logits, alone.logits)
    assert torch.equal(found.logits, network.localizer(whole, points).logits)
    assert found.logits.shape == (1, 7, 2)

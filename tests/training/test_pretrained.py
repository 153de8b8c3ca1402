from dataclasses import replace

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn

from impulse_nnunet.errors import InputError
from impulse_nnunet.network import SYSTEMS, Task, build_network
from impulse_nnunet.training.pretrained import take_weights
from tests.support import SMALL

RESIDUAL = "dynamic_network_architectures.building_blocks.residual_encoders.ResidualEncoder"


def stock(channels=2, kind=PlainConvUNet, blocks="n_conv_per_stage", features=(4, 8)):
    """A stock nnU-Net with the stages of SMALL."""
    return kind(
        channels,
        2,
        list(features),
        nn.Conv3d,
        3,
        [[1, 1, 1], [2, 2, 2]],
        num_classes=7,
        n_conv_per_stage_decoder=[2],
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        **{blocks: [1, 1]},
    ).eval()


def build(encoder, system=None):
    settings = replace(SMALL, encoder=encoder)
    network = (
        build_network(settings, 2, 3)
        if system is None
        else SYSTEMS[system].build(Task(settings=settings, input_channels=2, number_of_classes=3, input_grid=(4, 6, 8)))
    )
    network.encoder_bfloat16 = False
    return network.eval()


IMAGE = torch.linspace(-1, 1, 2 * 4 * 6 * 8).reshape(1, 2, 4, 6, 8)


@pytest.mark.parametrize(
    ("encoder", "donor"),
    [("unet_encoder", stock()), (RESIDUAL, stock(kind=ResidualEncoderUNet, blocks="n_blocks_per_stage"))],
    ids=["plain", "residual"],
)
def test_a_stock_encoder_computes_the_same_here(encoder, donor):
    network = build(encoder)
    head = network.decoder.correction.shortcut[0].weight.detach().clone()
    taken = take_weights(network, donor.state_dict(), "stock.pth")
    for found, expected in zip(network.encode(IMAGE), donor.encoder(IMAGE), strict=True):
        torch.testing.assert_close(found, expected)
    assert torch.equal(network.decoder.correction.shortcut[0].weight, head)
    assert not taken.whole
    assert taken.left == ()
    layers = len({id(p) for p in donor.encoder.parameters()})
    assert str(taken) == f"{layers} of {layers} tensors of the encoder; the rest starts at random"


def test_of_a_stock_unet_the_decoder_levels_are_taken_too():
    network, donor = build("unet"), stock()
    take_weights(network, donor.state_dict(), "stock.pth")
    skips = donor.encoder(IMAGE)
    up = donor.decoder.stages[0](torch.cat([donor.decoder.transpconvs[0](skips[-1]), skips[0]], 1))
    for found, expected in zip(network.encode(IMAGE), [up, skips[-1]], strict=True):
        torch.testing.assert_close(found, expected)


def test_other_input_channels_leave_the_first_convolution_out():
    network = build("unet_encoder")
    taken = take_weights(network, stock(channels=1).state_dict(), "stock.pth")
    assert len(taken.left) == 1
    assert "stages.0.0.convs.0.conv.weight is (4, 1, 3, 3, 3) there, (4, 2, 3, 3, 3) here" in str(taken)


def test_encoders_of_our_own_systems_fit_each_other():
    donor, network = build("resnet18", "fcn"), build("resnet18")
    take_weights(network, donor.state_dict(), "fcn.pth")
    for found, expected in zip(network.encode(IMAGE), donor.encoder.pyramid(IMAGE), strict=True):
        torch.testing.assert_close(found, expected)
    take_weights(donor, build("resnet18").state_dict(), "plus.pth")  # and the other way round


def test_the_same_network_is_taken_whole():
    donor, network = build("resnet18"), build("resnet18")
    assert (
        str(take_weights(network, donor.state_dict(), "own.pth"))
        == f"all {len(donor.state_dict())} tensors of the network"
    )
    for found, expected in zip(network.parameters(), donor.parameters(), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("encoder", ["resnet18", "unet_encoder"])
def test_weights_that_do_not_fit_are_refused(encoder):
    network = build(encoder)
    before = [p.detach().clone() for p in network.parameters()]
    message = (
        r"`pretrained_weights` x.pth: found \d+ of the encoder's \d+ tensors in it, expected a checkpoint with the enc"
    )
    with pytest.raises(InputError, match=message):
        take_weights(network, stock(features=(6, 12)).state_dict(), "x.pth")
    for found, expected in zip(network.parameters(), before, strict=True):
        assert torch.equal(found, expected)

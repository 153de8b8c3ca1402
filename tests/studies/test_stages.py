"""What is left of the network after a stage."""

import numpy as np
import pytest
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.network import DenseDecoder
from impulse_nnunet.studies.stages import decoder_of_stage
from tests.support import perturb_heads, small_network


@pytest.fixture
def network():
    made = perturb_heads(small_network()).eval()
    made.decoder.template.set_logits(torch.randn(3, 4, 6, 8))
    return made


def at_points(network, decoder):
    image, points = torch.randn(1, 2, 4, 6, 8), torch.rand(1, 50, 3) * 1.6 - 0.8
    with torch.no_grad():
        return points, network.decoder(network.encode(image), points), decoder(network.encode(image), points)


def test_the_template_alone_does_not_look_at_the_image(network):
    points, whole, alone = at_points(network, decoder_of_stage(network.decoder, "template"))
    torch.testing.assert_close(alone.logits, network.decoder.template(points))
    assert (alone.displacement == 0).all()
    assert not torch.allclose(whole.logits, alone.logits, atol=1e-3)


def test_after_deformation_the_template_is_read_at_the_moved_points(network):
    points, whole, moved = at_points(network, decoder_of_stage(network.decoder, "deformed"))
    torch.testing.assert_close(moved.displacement, whole.displacement)
    torch.testing.assert_close(moved.logits, network.decoder.template(points + whole.displacement))


def test_the_last_stage_is_the_network_and_the_network_stays_as_it_is(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for stage in ("template", "deformed"):
        decoder_of_stage(network.decoder, stage)
    _, whole, corrected = at_points(network, decoder_of_stage(network.decoder, "corrected"))
    torch.testing.assert_close(corrected.logits, whole.logits)
    assert all(np.array_equal(before[name], value) for name, value in network.state_dict().items())


def test_networks_without_the_parts_are_refused(network):
    network.decoder.correction = None
    with pytest.raises(InputError, match="a network without template, deformation or correction"):
        decoder_of_stage(network.decoder, "template")
    with pytest.raises(InputError, match="give a model of nnUNetTrainerImPulSe"):
        decoder_of_stage(DenseDecoder(3), "template")

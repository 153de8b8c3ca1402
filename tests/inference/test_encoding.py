import logging

import numpy as np
import pytest
import torch

from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.inference.encoding import encode_image, encode_working_volume, foreground_faces
from impulse_nnunet.inference.ensemble import Ensemble
from impulse_nnunet.network import SYSTEMS, DenseDecoder, ImPulSeNet, Task
from impulse_nnunet.settings import RegionSettings
from tests.support import SMALL, settings_for, small_network

GRID = (4, 6, 8)
POINTS = np.random.default_rng(0).uniform(-1, 1, (50, 3)).astype(np.float32)
TWO_PASS = settings_for(GRID, (8, 12, 16), region=RegionSettings(mode="two_pass", margin=0.1))


def network_that_finds(block):
    """A fresh network, which gives back its template: foreground in a block of the template, nothing elsewhere."""
    network = small_network(classes=2, channels=1)
    logits = torch.zeros(2, *GRID)
    logits[0] = 1
    logits[(1, *block)] = 2
    network.decoder.template.set_logits(logits)
    return network


def ensemble_of(network, parameters=None):
    return Ensemble(network, parameters, torch.device("cpu"))


def test_specks_do_not_widen_the_box():
    mask = np.zeros((10, 10, 20), bool)
    mask[2:8, 3:7, 4:12] = True  # 192 voxels
    mask[9, 9, 17:20] = True  # 3 of 195, less than 2 %
    # 2 * 2/10 - 1, 2 * 3/10 - 1, 2 * 4/20 - 1 and 2 * 8/10 - 1, 2 * 7/10 - 1, 2 * 12/20 - 1
    np.testing.assert_allclose(foreground_faces(mask), [[-0.6, -0.4, -0.6], [0.6, 0.4, 0.2]])


def test_two_large_parts_are_both_kept():
    mask = np.zeros((10, 10, 20), bool)
    mask[2:8, 3:7, 4:8] = mask[2:8, 3:7, 12:16] = True  # two lungs
    np.testing.assert_allclose(foreground_faces(mask), [[-0.6, -0.4, -0.6], [0.6, 0.4, 0.6]])


def test_voxels_that_meet_at_a_corner_are_one_part():
    mask = np.zeros((4, 4, 4), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    np.testing.assert_allclose(foreground_faces(mask), [[-1] * 3, [0] * 3])


def test_an_empty_mask_has_no_faces():
    assert foreground_faces(np.zeros((3, 3, 3), bool)) is None


def test_whole_mode_encodes_the_image():
    network = network_that_finds((slice(1, 3), slice(1, 5), slice(2, 6)))
    encoded = encode_working_volume(ensemble_of(network), torch.randn(1, 8, 12, 16).half(), settings_for(GRID))
    np.testing.assert_array_equal(encoded.box.matrix, Box.whole().matrix)


def test_two_passes_encode_the_region_that_the_first_one_finds():
    network = network_that_finds((slice(1, 3), slice(1, 5), slice(2, 6)))
    encoded = encode_working_volume(ensemble_of(network), torch.randn(1, 8, 12, 16).half(), TWO_PASS)
    # d: 1/4 to 3/4 of 2, edge 1, margin 0.1; h: -2/3 to 2/3, edge 4/3; w: -0.5 to 0.5
    expected = np.array([[-0.6, -0.8, -0.6], [0.6, 0.8, 0.6]])
    np.testing.assert_allclose(encoded.box.faces, expected, atol=1e-6)


SEARCH = settings_for(GRID, (8, 12, 16), region=RegionSettings(mode="two_pass", margin=0.1, search_grid=(4, 6, 8)))


class Found(torch.nn.Module):
    """Logits of foreground in a block of any grid, in shares of its axes; notes the images that it sees."""

    def __init__(self, lower, upper):
        super().__init__()
        self.lower, self.upper, self.seen = lower, upper, []

    def forward(self, image):
        self.seen.append(tuple(image.shape))
        grid = image.shape[2:]
        logits = torch.zeros(1, 2, *grid)
        logits[:, 0] = 0.5
        block = [slice(round(a * n), round(b * n)) for a, b, n in zip(self.lower, self.upper, grid, strict=True)]
        logits[(0, 1, *block)] = 1
        return [logits]


def test_a_localizer_finds_the_region_on_its_own_grid():
    network = network_that_finds((slice(0, 0), slice(0, 0), slice(0, 0)))  # which finds nothing itself
    network.localizer = ImPulSeNet(Found((0.25, 1 / 6, 0.25), (0.75, 5 / 6, 0.75)), DenseDecoder(2))
    encoded = encode_working_volume(ensemble_of(network), torch.randn(1, 8, 12, 16).half(), SEARCH)
    assert network.localizer.encoder.seen == [(1, 1, 4, 6, 8)]
    # as in the test above: edges 1, 4/3 and 1, with margins of a tenth
    np.testing.assert_allclose(encoded.box.faces, [[-0.6, -0.8, -0.6], [0.6, 0.8, 0.6]], atol=1e-6)


def test_a_localizer_that_finds_nothing(caplog):
    network = network_that_finds((slice(1, 3), slice(1, 5), slice(2, 6)))
    network.localizer = ImPulSeNet(Found((0, 0, 0), (0, 0, 0)), DenseDecoder(2))
    with caplog.at_level(logging.WARNING):
        encoded = encode_working_volume(ensemble_of(network), torch.randn(1, 8, 12, 16).half(), SEARCH, "case_7")
    np.testing.assert_array_equal(encoded.box.matrix, Box.whole().matrix)
    assert caplog.messages == ["case_7: the first pass found no foreground; the whole image is used"]


def test_each_fold_brings_its_own_localizer():
    states = []
    for _ in range(2):
        network = SYSTEMS["impulse_plus"].build(
            Task(settings=SMALL, input_channels=1, number_of_classes=3, input_grid=GRID, search_grid=GRID)
        )
        states.append({name: value.clone() for name, value in network.state_dict().items()})
    volume = torch.randn(1, *GRID).half()
    network = SYSTEMS["impulse_plus"].build(
        Task(settings=SMALL, input_channels=1, number_of_classes=3, input_grid=GRID, search_grid=GRID)
    )
    together = ensemble_of(network, states).search(volume, GRID).evaluate(POINTS)[0]
    alone = []
    for state in states:
        network.load_state_dict(state)
        alone.append(ensemble_of(network).search(volume, GRID).evaluate(POINTS)[0])
    np.testing.assert_allclose(together, np.mean(alone, axis=0), rtol=1e-5, atol=1e-6)
    assert np.abs(alone[0] - alone[1]).max() > 0.01


def test_without_foreground_the_image_is_used_with_a_warning(caplog):
    network = network_that_finds((slice(0, 0), slice(0, 0), slice(0, 0)))
    with caplog.at_level(logging.WARNING):
        encoded = encode_working_volume(ensemble_of(network), torch.randn(1, 8, 12, 16).half(), TWO_PASS, "case_7")
    np.testing.assert_array_equal(encoded.box.matrix, Box.whole().matrix)
    assert caplog.messages == ["case_7: the first pass found no foreground; the whole image is used"]


def test_an_image_is_encoded_through_its_working_volume():
    from impulse_nnunet.geometry.working_volume import to_working_volume

    ensemble, image = ensemble_of(small_network(channels=1)), torch.randn(1, 20, 20, 20)
    settings = settings_for(GRID, (8, 12, 16))
    direct = encode_working_volume(ensemble, to_working_volume(image, (8, 12, 16)), settings)
    whole = encode_image(ensemble, image, settings)
    np.testing.assert_array_equal(whole.evaluate(POINTS)[0], direct.evaluate(POINTS)[0])


@pytest.mark.parametrize("folds", [1, 2])
def test_each_fold_brings_its_own_encoder_and_decoder(folds):
    states = []
    for _ in range(folds):
        network = small_network(channels=1)
        network.decoder.template.set_logits(torch.randn(3, *GRID))
        states.append({name: value.clone() for name, value in network.state_dict().items()})
    volume = torch.randn(1, *GRID).half()
    encoded = ensemble_of(small_network(channels=1), states).encode(volume, Box.whole(), GRID)
    alone = []
    for state in states:
        single = small_network(channels=1)
        single.load_state_dict(state)
        alone.append(ensemble_of(single).encode(volume, Box.whole(), GRID).evaluate(POINTS)[0])
    np.testing.assert_allclose(encoded.evaluate(POINTS)[0], np.mean(alone, axis=0), rtol=1e-5, atol=1e-6)
    assert folds == 1 or np.abs(alone[0] - alone[1]).max() > 0.1


def test_networks_are_used_in_evaluation_mode():
    network = small_network(channels=1).train()
    ensemble = ensemble_of(network)
    assert not network.training
    assert not ensemble.decoders[0].training

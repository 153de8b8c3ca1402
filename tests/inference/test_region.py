"""Localizers that are wrong on purpose: no label is cut where the region of interest ends."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from impulse_nnunet.decoding import OutputGrid, decode_labels
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.inference.encoding import encode_working_volume
from impulse_nnunet.inference.ensemble import Ensemble
from impulse_nnunet.inference.region import RegionEncoder
from impulse_nnunet.network import DenseDecoder, ImPulSeNet
from impulse_nnunet.settings import RegionSettings
from tests.support import settings_for

SHAPE = (20, 24, 28)  # native, and that of the working volume
INPUT = (20, 24, 28)
SETTINGS = settings_for(INPUT, SHAPE, region=RegionSettings(mode="two_pass", margin=0.05, search_grid=SHAPE))
BOXES = 200


class Sees(torch.nn.Module):
    """A perfect network: an image with a channel for each label -> logits that say them; counts its calls."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, image):
        self.calls += 1
        return [torch.cat([torch.full_like(image[:, :1], 0.5), image], dim=1)]


class Misled(torch.nn.Module):
    """A localizer that finds label 1 in a block, in shares of the image's axes, whatever the image."""

    def __init__(self):
        super().__init__()
        self.block = np.zeros((3, 2))

    def forward(self, image):
        logits = torch.zeros(1, 3, *image.shape[2:])
        logits[:, 0] = 0.5
        logits[
            (0, 1, *(slice(round(a * n), round(b * n)) for (a, b), n in zip(self.block, image.shape[2:], strict=True)))
        ] = 1
        return [logits]


def chest(seed):
    """Labels (d, h, w): two ellipsoids, of another size and place for each seed; some touch the image's faces."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / n for n in SHAPE], indexing="ij"), -1)
    labels = np.zeros(SHAPE, np.uint8)
    for label, w in ((1, 0.28), (2, 0.72)):
        centre = np.array([0.5, 0.5, w]) + rng.uniform(-0.05, 0.05, 3)
        radius = np.array([0.36, 0.3, 0.17]) * rng.uniform(0.8, 1.3, 3)
        labels[(((place - centre) / radius) ** 2).sum(-1) < 1] = label
    return labels


def random_block(rng, labels):
    """Shares of the image's axes; it meets the foreground, as all that a localizer finds does."""
    while True:
        block = np.sort(rng.uniform(0, 1, (3, 2)), axis=1)
        lower, upper = (block.T * SHAPE).round().astype(int)
        if (upper - lower).min() >= 4 and labels[tuple(slice(*ends) for ends in zip(lower, upper, strict=True))].any():
            return block


def image_of(labels):
    return torch.from_numpy(np.stack([labels == 1, labels == 2])).half()


def make():
    network = ImPulSeNet(Sees(), DenseDecoder(3))
    network.localizer = ImPulSeNet(Misled(), DenseDecoder(3))
    return network, Ensemble(network, None, torch.device("cpu"))


def try_random_boxes(number, seed):
    """Chests with localizers that find random boxes.

    Returns:
        How many cut a label, how many regions were enlarged, and the encodings of each.
    """
    rng = np.random.default_rng(seed)
    network, ensemble = make()
    cut, enlarged, calls = 0, 0, []
    for case in range(number):
        labels = chest(1000 * seed + case)
        network.localizer.encoder.block = random_block(rng, labels)
        network.encoder.calls = 0
        encoded = encode_working_volume(ensemble, image_of(labels), SETTINGS, f"case_{case}")
        calls.append(network.encoder.calls)
        found = decode_labels(encoded, OutputGrid.native(SHAPE), 10**6)
        # a voxel that has only its own label around it cannot be lost to interpolation
        sure = np.stack([ndimage.binary_erosion(labels == label, np.ones((3, 3, 3))) for label in (1, 2)])
        cut += any(bool((sure[label - 1] & (found != label)).any()) for label in (1, 2))
        enlarged += len(encoded.findings)
    return cut, enlarged, calls


def test_no_random_box_cuts_a_label():
    cut, enlarged, calls = try_random_boxes(BOXES, seed=0)
    assert cut == 0
    assert enlarged > BOXES / 2  # or the boxes were no test
    assert max(calls) == 3  # the first, and two more


def test_a_right_box_is_left_alone():
    network, ensemble = make()
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 6:18, 7:14], labels[5:15, 6:18, 14:21] = 1, 2
    network.localizer.encoder.block = np.array([(0.25, 0.75)] * 3)
    encoded = encode_working_volume(ensemble, image_of(labels), SETTINGS)
    assert encoded.findings == ()
    assert network.encoder.calls == 1
    np.testing.assert_allclose(encoded.box.faces, [[-0.55] * 3, [0.55] * 3], atol=1e-6)


@pytest.mark.parametrize(("axis", "side"), [(0, 0), (1, 1), (2, 0)])
def test_the_face_that_is_touched_moves_out_by_half_of_the_edge(axis, side, caplog):
    network, ensemble = make()
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 6:18, 7:14], labels[5:15, 6:18, 14:21] = 1, 2  # a quarter to three quarters of each axis
    block = np.array([(0.25, 0.75)] * 3)
    block[axis, side] = 0.65 if side else 0.35  # a part is cut off
    network.localizer.encoder.block = block
    encoded = encode_working_volume(ensemble, image_of(labels), SETTINGS, "case_7")
    # the localizer's faces lie between its voxels; the cut edge, of 2, has a margin of 0.05 at each side
    n = SHAPE[axis]
    cut = 2 * round(block[axis, side] * n) / n - 1
    edge = abs(cut - (-0.5 if side else 0.5))
    expected = np.array([[-0.55] * 3, [0.55] * 3])
    expected[1 - side, axis] = (0.5 + 0.05 * edge) * (-1 if side else 1)
    expected[side, axis] = cut + (0.05 + 0.5 * 1.1) * edge * (1 if side else -1)
    np.testing.assert_allclose(encoded.box.faces, expected, atol=1e-6)
    (finding,) = encoded.findings
    assert finding.kind == "region_enlarged"
    assert finding.text.startswith("labels reached 1 face(s) of the region of interest, which was enlarged from 1")
    assert caplog.messages == [f"case_7: {finding.text}"]


def test_a_label_that_lies_wholly_outside_is_found():
    network, ensemble = make()
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 6:18, 4:10], labels[5:15, 6:18, 18:24] = 1, 2
    network.localizer.encoder.block = np.array([(0.25, 0.75), (0.25, 0.75), (4 / 28, 10 / 28)])
    encoded = encode_working_volume(ensemble, image_of(labels), SETTINGS)
    assert [finding.text for finding in encoded.findings] == [
        "label(s) 2 lay outside the region of interest, which was enlarged from 7% to 100% of the image"
    ]
    np.testing.assert_array_equal(encoded.box.matrix, Box.whole().matrix)


def test_a_label_that_the_patient_lacks_changes_nothing_but_the_time():
    network, ensemble = make()
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 6:18, 4:10] = 1
    network.localizer.encoder.block = np.array([(0.25, 0.75), (0.25, 0.75), (4 / 28, 10 / 28)])
    encoded = encode_working_volume(ensemble, image_of(labels), SETTINGS)
    assert encoded.findings == ()
    assert network.encoder.calls == 3
    assert np.diag(encoded.box.matrix).max() < 1


def test_faces_of_the_image_are_no_reason_to_enlarge():
    _, ensemble = make()
    volume = torch.ones(2, *SHAPE).half()
    region = RegionEncoder(ensemble=ensemble, volume=volume, settings=SETTINGS, case="a")
    box = Box.from_faces([-1, -0.5, -1], [1, 1, 0.5])
    touched = region.touched_faces(ensemble.encode(volume, box, INPUT))
    np.testing.assert_array_equal(touched, [[False, False], [True, False], [False, True]])

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from impulse_nnunet.decoding import EncodedBox
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.nnunet.cases import CasePrediction, decode_case, write_case
from tests.support import small_network

CROPPED = (2, 3, 4)
PROPERTIES = {
    "shape_before_cropping": (3, 4, 6),
    "bbox_used_for_cropping": [[1, 3], [0, 3], [2, 6]],
    "shape_after_cropping_and_before_resampling": CROPPED,
}
# nnU-Net's: transpose_forward (1, 2, 0) makes (a, b, c) into (b, c, a), its inverse is (2, 0, 1)
PLANS = SimpleNamespace(transpose_backward=[2, 0, 1])


def template_of(labels):
    """A whole image encoded by a fresh network, which says its template: here the labels, voxel by voxel."""
    network = small_network(classes=4, channels=1)
    template = torch.zeros(4, 4, 6, 8)
    large = np.kron(labels, np.ones((2, 2, 2), int))  # the template has (4, 6, 8) voxels
    template.scatter_(0, torch.from_numpy(large)[None], 5.0)
    network.decoder.template.set_logits(template)
    pyramid = network.eval().encode(torch.zeros(1, 1, 4, 6, 8))
    return EncodedBox([(network.decoder, [level.detach().float() for level in pyramid])], Box.whole())


def expected_labels(labels):
    whole = np.zeros((3, 4, 6), int)
    whole[1:3, 0:3, 2:6] = labels
    return whole.transpose(2, 0, 1)


LABELS = np.arange(24).reshape(CROPPED) % 4


def test_labels_return_to_where_the_image_was_cropped_from():
    prediction = decode_case(template_of(LABELS), 7, PROPERTIES, PLANS)
    assert prediction.probabilities is None
    np.testing.assert_array_equal(prediction.labels, expected_labels(LABELS))


def test_probabilities_go_with_the_labels():
    prediction = decode_case(template_of(LABELS), 7, PROPERTIES, PLANS, with_probabilities=True)
    assert prediction.probabilities.shape == (4, 6, 3, 4)
    np.testing.assert_array_equal(prediction.labels, expected_labels(LABELS))
    np.testing.assert_array_equal(prediction.probabilities.argmax(0), prediction.labels)
    np.testing.assert_allclose(prediction.probabilities.sum(0), 1, rtol=1e-5)
    assert prediction.probabilities[0, 0, 0, 0] == 1  # cropped away: background for sure


@pytest.mark.parametrize("probabilities", [None, np.full((2, 1, 1, 1), 0.5, np.float32)])
def test_files_are_written_whole(tmp_path, probabilities):
    class Writer:
        def write_seg(self, labels, path, properties):
            np.savetxt(path, labels.reshape(1, -1), "%d")

    plans = SimpleNamespace(image_reader_writer_class=Writer)
    prediction = CasePrediction(np.array([[[7]]], np.uint8), probabilities)
    write_case(prediction, {"spacing": [1, 1, 1]}, plans, ".txt", str(tmp_path / "case_7"))
    names = [".txt"] if probabilities is None else [".npz", ".pkl", ".txt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"case_7{name}" for name in names]
    assert (tmp_path / "case_7.txt").read_text() == "7\n"

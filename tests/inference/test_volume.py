"""The one way from a volume to its result; what it is made of has tests of its own."""

import pytest
import torch

from impulse_nnunet.decoding import OutputGrid, decode_labels
from impulse_nnunet.inference.encoding import encode_image, encode_working_volume
from impulse_nnunet.inference.ensemble import Ensemble
from impulse_nnunet.inference.volume import predict_volume
from tests.support import perturb_heads, settings_for, small_network

SETTINGS = settings_for()
IMAGE = (1, 7, 9, 11)


def ensemble():
    return Ensemble(perturb_heads(small_network(channels=1)), None, torch.device("cpu"))


def labels_of(encoded, block_points):
    return decode_labels(encoded, OutputGrid.native(IMAGE[1:]), block_points)


def test_a_native_image_is_encoded_and_decoded():
    networks, image = ensemble(), torch.randn(IMAGE)
    expected = labels_of(encode_image(networks, image, SETTINGS), SETTINGS.inference.block_points)
    assert (predict_volume(networks, image, SETTINGS, labels_of) == expected).all()


def test_another_kind_of_volume_by_another_encoding():
    networks, volume = ensemble(), torch.randn(1, 6, 8, 10).half()
    expected = labels_of(encode_working_volume(networks, volume, SETTINGS), SETTINGS.inference.block_points)
    found = predict_volume(networks, volume, SETTINGS, labels_of, encode=encode_working_volume)
    assert (found == expected).all()


def test_short_memory_leads_to_smaller_blocks_and_the_case_is_named(caplog):
    blocks, cases = [], []

    def encode(networks, volume, settings, case):
        cases.append(case)
        return case

    def decode(encoded, block_points):
        blocks.append(block_points)
        if len(blocks) == 1:
            raise MemoryError
        return encoded

    assert predict_volume(ensemble(), torch.zeros(IMAGE), SETTINGS, decode, "case_7", encode) == "case_7"
    assert cases == ["case_7", "case_7"]
    assert blocks == [SETTINGS.inference.block_points, SETTINGS.inference.block_points // 4]
    assert "case_7: out of memory on cpu, going on with blocks of 1/4 on cpu" in caplog.text


def test_other_errors_are_raised():
    def decode(encoded, block_points):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        predict_volume(ensemble(), torch.randn(IMAGE), SETTINGS, decode)

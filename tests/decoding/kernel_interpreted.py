"""The Triton kernel on the CPU, in Triton's interpreter; ``test_device_kernel`` runs this with TRITON_INTERPRET=1."""

import dataclasses

import numpy as np
import pytest
import torch

from impulse_nnunet.decoding import OutputGrid, device_kernel
from impulse_nnunet.decoding.device_fold import fold_of
from impulse_nnunet.decoding.device_parts import Placement, Target
from impulse_nnunet.decoding.device_volumes import Engine, device_labels
from tests.decoding.device_agreement import agrees, dense_agrees, ensembles_agree
from tests.decoding.device_cases import BOXES, PARTS, SIZES, member, plain_box

SMALL = OutputGrid.native((3, 5, 6))


@pytest.mark.parametrize("box", BOXES)
def test_boxes(box):
    agrees(True, [member()], box, grid=SMALL)


def test_half_precision_storage():
    agrees(True, [member(sizes="four levels")], "turned", torch.float16, SMALL, 50)


@pytest.mark.parametrize(
    ("sizes", "classes"), [*((sizes, 19) for sizes in SIZES), ("two levels", 2), ("two levels", 40)]
)
def test_sizes(sizes, classes):
    agrees(True, [member(classes, sizes)], block=50, grid=SMALL)


def test_many_classes_take_smaller_tiles():
    decoder, pyramid = member(300)
    fold = fold_of(decoder, pyramid, 100)
    assert np.prod(device_kernel.tile_of(fold)) == 16
    agrees(True, [(decoder, pyramid)], block=50, grid=SMALL)


@pytest.mark.parametrize("parts", PARTS)
def test_parts(parts):
    agrees(True, [member(parts=parts)], "turned", grid=SMALL, block=50)


def test_dense_networks():
    dense_agrees(True)


def test_ensembles():
    ensembles_agree(True, grid=SMALL)


@pytest.mark.parametrize("tile", [(2, 4, 8), (1, 1, 16), (4, 4, 2)])
def test_tiles_and_parts_change_nothing(tile, monkeypatch):
    encoded, engine = plain_box([member()], BOXES["part"]), Engine(True, torch.float32)
    found = device_labels(encoded, SMALL, 10**4, engine)
    monkeypatch.setattr(device_kernel, "TILE", tile)
    np.testing.assert_array_equal(device_labels(encoded, SMALL, 1, engine), found)


def test_equal_logits_give_the_first_class_and_voxels_outside_keep_their_label():
    decoder, pyramid = member(5)
    fold = fold_of(decoder, pyramid, 100)
    bias = torch.tensor([0.0, 2, 1, 2, 2] + [9.0] * 11)
    flat = dataclasses.replace(fold.correction, weight=fold.correction.weight * 0, bias=bias)
    fold = dataclasses.replace(fold, template=None, correction=flat)
    placement = Placement.of(SMALL, BOXES["part"])
    labels = torch.full(SMALL.shape, 7, dtype=torch.uint8)
    for part in placement.parts(10**6):
        device_kernel.evaluate(fold, placement, part, Target(labels=labels))
    assert sorted(labels.unique().tolist()) == [1, 7]


def test_features_that_are_no_numbers_stay_in_memory_and_give_background():
    decoder, pyramid = member()
    pyramid[0][:] = float("inf")
    encoded = plain_box([(decoder, pyramid)], BOXES["whole"])
    with np.errstate(invalid="ignore"):
        assert not device_labels(encoded, SMALL, 100, Engine(True)).any()

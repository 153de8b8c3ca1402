import numpy as np
import pytest
import torch

from impulse_nnunet.trainers.template_stage import template_dice
from impulse_nnunet.training.batches import CaseStore
from tests.support import MadeUpDataset, settings_for


def store_of(segmentations, settings, ignore_label=None):
    cases = {}
    for index, labels in enumerate(segmentations):
        segmentation = np.asarray(labels, np.int16)
        image = np.ones((1, *segmentation.shape), np.float32)
        cases[f"case_{index}"] = (image, segmentation, {"spacing": [1.0, 1.0, 1.0]})
    return CaseStore(MadeUpDataset(cases), settings, ignore_label)


def test_dice_of_a_template_by_hand():
    settings = settings_for()
    store = store_of([[[[1, 1, 0, 0]]], [[[1, 0, 0, 0]]]], settings)
    logits = torch.tensor([[0.0, 0, 1, 1], [1, 1, 0, 0]])[:, None, None]  # says 1, 1, 0, 0
    # first case 1, second 2 * 1 / (1 + 2)
    assert template_dice(logits, store, settings) == pytest.approx((1 + 2 / 3) / 2)


def test_dice_of_a_template_where_no_voxel_is_known():
    # no voxel of the coarse template grid meets the one annotated voxel, which is common in sparse annotation
    settings = settings_for()
    segmentation = np.full((1, 1, 9), 2)
    segmentation[..., 0] = 1
    store = store_of([segmentation, [[[1, 1, 0]]]], settings, ignore_label=2)
    logits = torch.tensor([[0.0, 0, 1], [1, 1, 0]])[:, None, None]
    assert template_dice(logits, store, settings) == pytest.approx(1)  # of the case that can be judged

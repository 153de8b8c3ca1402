import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from impulse_nnunet.evaluation import dice_per_label

label_maps = arrays(np.int64, (2, 3, 4), elements=st.integers(0, 3))


def test_by_hand():
    reference = np.array([[0, 1, 1], [1, 2, 0]])
    prediction = np.array([[1, 1, 1], [0, 2, 2]])
    # label 1: 2 in both of 3 + 3; label 2: 1 in both of 1 + 2
    np.testing.assert_allclose(dice_per_label(reference, prediction, 3), [4 / 6, 2 / 3])


def test_in_neither_nan_in_one_of_them_zero():
    reference, prediction = np.array([0, 1, 0]), np.array([0, 0, 2])
    np.testing.assert_array_equal(dice_per_label(reference, prediction, 4), [0, 0, np.nan])


def test_only_valid_voxels_count():
    reference, prediction = np.array([1, 1, 1, 0]), np.array([1, 0, 0, 0])
    # of the first two voxels: 1 in both of 2 + 1
    valid = np.array([True, True, False, False])
    np.testing.assert_allclose(dice_per_label(reference, prediction, 2, valid), [2 / 3])


def test_no_valid_voxel_gives_nan():
    labels = np.ones(3, int)
    np.testing.assert_array_equal(dice_per_label(labels, labels, 2, np.zeros(3, bool)), [np.nan])


def test_small_integers_do_not_overflow():
    labels = np.full((2, 2), 200, np.uint8)
    assert dice_per_label(labels, labels, 201)[199] == 1


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"reference has shape \(2,\), prediction \(3,\); expected the same"):
        dice_per_label(np.zeros(2, int), np.zeros(3, int), 2)


@given(label_maps, label_maps)
def test_dice_is_the_f1_score(reference, prediction):
    ours = dice_per_label(reference, prediction, 4)
    expected = f1_score(reference.ravel(), prediction.ravel(), labels=[1, 2, 3], average=None, zero_division=np.nan)
    np.testing.assert_allclose(ours, expected)


@given(label_maps, label_maps)
def test_dice_is_symmetric(reference, prediction):
    np.testing.assert_array_equal(dice_per_label(reference, prediction, 4), dice_per_label(prediction, reference, 4))

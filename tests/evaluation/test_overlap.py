import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix as sklearns
from sklearn.metrics import f1_score

from impulse_nnunet.evaluation.overlap import as_classes, confusion_matrix, dice_per_label, merge_classes

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


@given(label_maps, label_maps)
def test_confusion_is_sklearns(reference, prediction):
    expected = sklearns(reference.ravel(), prediction.ravel(), labels=range(4))
    np.testing.assert_array_equal(confusion_matrix(reference, prediction, 4), expected)


@given(label_maps, label_maps, st.permutations([1, 2, 3]), st.sampled_from([(0,), (1,), (2,), (0, 1, 2)]))
def test_permuted_labels_permute_dice_and_flips_change_nothing(reference, prediction, order, axes):
    ours = dice_per_label(reference, prediction, 4)
    table = np.array([0, *order])
    permuted = dice_per_label(table[reference], table[prediction], 4)
    np.testing.assert_array_equal(permuted[np.array(order) - 1], ours)
    np.testing.assert_array_equal(dice_per_label(np.flip(reference, axes), np.flip(prediction, axes), 4), ours)


@given(label_maps, label_maps)
def test_merged_classes_are_those_of_merged_maps(reference, prediction):
    confusion = confusion_matrix(reference, prediction, 4)
    table = np.array([0, 2, 0, 2])  # 1 and 3 become 2, nothing becomes 1, 2 becomes background
    expected = sklearns(table[reference].ravel(), table[prediction].ravel(), labels=range(3))
    np.testing.assert_array_equal(merge_classes(confusion, [[], [1, 3]]), expected)
    np.testing.assert_array_equal(merge_classes(confusion, []), [[reference.size]])


@pytest.mark.parametrize("kind", ["?", "u1", "i1", "<u2", ">u2", "<i4", ">i8", "u8"])
def test_any_integers_in_any_layout(kind):
    reference, prediction = np.random.default_rng(0).integers(0, 2, (2, 4, 5, 6)).astype(kind)
    reference, prediction = np.asfortranarray(reference), prediction[::-1]
    reference.flags.writeable = prediction.flags.writeable = False
    expected = f1_score(reference.ravel().astype(int), prediction.ravel().astype(int))
    np.testing.assert_allclose(dice_per_label(reference, prediction, 2), expected)
    found = as_classes(reference, 2, "x")
    assert (found.dtype, found.flags.c_contiguous) == (np.uint8, True)


def test_classes_are_not_copied_without_need():
    for number, kind in ((256, np.uint8), (257, np.uint16)):
        labels = np.zeros((2, 3), kind)
        assert np.shares_memory(as_classes(labels, number, "x"), labels)
    assert as_classes(np.full(2, 256), 257, "x").tolist() == [256, 256]


def test_labels_out_of_range_are_refused():
    good = np.zeros(3, int)
    for bad, message in ((2, "from 2 to 2; expected 0 to 1"), (-1, "from -1 to -1; expected 0 to 1")):
        with pytest.raises(ValueError, match=f"reference has labels {message}"):
            dice_per_label(np.full(3, bad), good, 2)
        with pytest.raises(ValueError, match=f"prediction has labels {message}"):
            dice_per_label(good, np.full(3, bad), 2)
    with pytest.raises(ValueError, match="number of classes is 65537; expected 1 to 65536"):
        dice_per_label(good, good, 65537)


def test_voxels_that_are_no_integers_are_refused():
    with pytest.raises(TypeError, match="prediction has voxels of type float32; expected integers"):
        dice_per_label(np.zeros(3, int), np.zeros(3, np.float32), 2)

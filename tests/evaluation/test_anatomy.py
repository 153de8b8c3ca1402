import numpy as np
import pytest

from impulse_nnunet.evaluation.anatomy import tree_metrics
from impulse_nnunet.evaluation.intrusions import SegmentSurfaces
from impulse_nnunet.evaluation.settings import MetricSettings
from tests.evaluation.brute_force import blobs, disturbed, intrusions_of


def row(*labels):
    return np.array(labels, np.uint8).reshape(1, 1, -1)


REFERENCE = row(1, 1, 1, 1, 2, 2, 2, 0, 3, 3)
PREDICTION = row(1, 1, 0, 2, 2, 2, 1, 0, 0, 0)
TREE = row(1, 0, 1, 1, 1, 1, 1, 1, 0, 0)


def measure(tree=TREE, tree_labels=False, surfaces=True, **settings):
    made = SegmentSurfaces(PREDICTION, (1, 1, 1)) if surfaces else None
    return tree_metrics(tree, REFERENCE, PREDICTION, 4, made, MetricSettings(tree_labels=tree_labels, **settings))


def test_a_tree_by_hand():
    found = measure()
    # T_1 = x 0, 2, 3 of which 0 is at home, 2 background, 3 in segment 2; T_2 = 4, 5, 6, 6 in segment 1; 7 in neither
    assert found.n_voxels.tolist() == [3, 3, 0]
    assert found.n_background.tolist() == [1, 0, 0]
    np.testing.assert_allclose(found.share_in_segment, [1 / 3, 2 / 3, np.nan])
    assert found.n_outside == 1
    # on the tree: label 1 is 3 in the reference, 2 in the prediction, 1 in both; label 2: 3, 3, 2
    np.testing.assert_allclose(found.dice_inside, [2 / 5, 4 / 6, np.nan])
    # 2 and 3 are one group of 1, 2 voxels off x = 1; 6 is one of 2, one voxel off x = 5; the predicted 1 at x = 6 is
    # surface of segment 1 as well, but not nearer
    assert found.intrusions.classes.tolist() == [1, 2]
    assert found.intrusions.distances_mm.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("classes", "share"), [([1], 1 / 3), ((1, 2), 3 / 6), ([1, 2, 3], 3 / 6), ([3], np.nan), ([], np.nan)]
)
def test_share_of_several_classes(classes, share):
    np.testing.assert_allclose(measure().share_of(classes), share)


def test_a_tree_with_labels_of_its_own():
    # the tree says that x = 3 belongs to 2 and x = 7, outside every segment, to 3
    found = measure(row(1, 0, 1, 2, 2, 2, 2, 3, 0, 0), tree_labels=True)
    assert found.n_voxels.tolist() == [2, 4, 1]
    assert found.n_background.tolist() == [1, 0, 1]
    np.testing.assert_allclose(found.share_in_segment, [1 / 2, 3 / 4, 0])
    assert found.n_outside == 1
    np.testing.assert_allclose(found.dice_inside, [2 / 5, 4 / 6, np.nan])  # of the same voxels as before
    assert found.intrusions.classes.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(found.intrusions.distances_mm, [1, 1, np.nan])  # no 3 was predicted


def test_any_value_means_tree_where_it_carries_no_labels():
    plain = measure()
    for other in (TREE * 200, TREE.astype(bool), TREE.astype(">i8") * 7000, TREE.astype(float)):
        found = measure(other)
        np.testing.assert_array_equal(found.confusion, plain.confusion)
        assert found.intrusions.distances_mm.tolist() == plain.intrusions.distances_mm.tolist()


def test_a_tree_without_a_segment_of_its_own_has_no_intrusions():
    for tree_labels in (False, True):
        found = measure(TREE * 200, tree_labels, surfaces=False)
        assert found.intrusions is None
        np.testing.assert_allclose(found.dice_inside, [2 / 5, 4 / 6, np.nan])


def test_an_empty_tree():
    found = measure(TREE * 0)
    assert (found.intrusions.number, found.n_outside) == (0, 0)
    assert np.isnan(found.share_in_segment).all()
    assert np.isnan(found.dice_inside).all()


def test_labels_that_are_no_classes_are_refused():
    with pytest.raises(ValueError, match="tree has labels from 0 to 9; expected 0 to 3"):
        measure(TREE * 9, tree_labels=True)


@pytest.mark.parametrize("connectivity", [26, 6])
@pytest.mark.parametrize("min_size", [1, 3])
def test_settings_reach_the_intrusions(connectivity, min_size):
    reference = blobs(0, (8, 9, 10), 5)
    prediction = disturbed(reference, 0)
    tree = np.random.default_rng(0).uniform(size=reference.shape) < 0.4
    settings = MetricSettings(connectivity=connectivity, min_size=min_size)
    found = tree_metrics(tree, reference, prediction, 5, SegmentSurfaces(prediction, (1, 2, 3)), settings).intrusions
    every = intrusions_of(np.where(tree, reference, 0), prediction, 5, (1, 2, 3), connectivity)
    expected = [group for group in every if group[1] >= min_size]
    assert 0 < len(expected) == found.number
    assert len(expected) < len(every) or min_size == 1
    np.testing.assert_allclose(found.mean_distance_mm, np.mean([group[2] for group in expected]))

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from impulse_nnunet.evaluation.intrusions import SegmentSurfaces, find_intrusions
from tests.evaluation.brute_force import blobs, intrusions_of

label_maps = arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 3))
spacings = st.tuples(*[st.sampled_from([0.5, 0.7, 1.0, 1.7, 3.0])] * 3)


def find(tree, prediction, spacing=(1, 1, 1), connectivity=26, min_size=1, kind="whole"):
    return find_intrusions(tree, prediction, SegmentSurfaces(prediction, spacing, kind), connectivity, min_size)


def as_list(intrusions):
    return sorted(
        zip(intrusions.classes.tolist(), intrusions.sizes.tolist(), intrusions.distances_mm.tolist(), strict=True)
    )


def row(*labels):
    return np.array(labels, np.uint8).reshape(1, 1, -1)


def test_a_branch_that_leaves_its_segment():
    # segment 1 ends with its surface voxel at 4; its branch runs on to 7, three voxels of 0.7 mm farther
    prediction, tree = row(1, 1, 1, 1, 1, 2, 2, 2, 2, 0), row(0, 0, 1, 1, 1, 1, 1, 1, 0, 0)
    found = find(tree, prediction, (2, 2, 0.7))
    assert (found.number, found.sizes.tolist()) == (1, [3])
    assert found.mean_distance_mm == pytest.approx(2.1)
    assert found.total_distance_mm == pytest.approx(2.1)


def test_the_whole_surface_may_be_nearer_than_the_interface():
    # 1 lies on top of 2 on the left and ends at x = 3; its branch intrudes into 2, below 1's free end
    prediction = np.zeros((1, 5, 6), np.uint8)
    prediction[0, 0, :4] = 1
    prediction[0, 1, 0] = 2  # the only place where 1 touches 2 is x = 0
    prediction[0, 3, :] = 2
    tree = np.zeros_like(prediction)
    tree[0, 3, 3] = 1
    # straight up: 3 rows; to the interface voxel (0, 0): 3 rows and 3 columns
    assert find(tree, prediction).distances_mm.tolist() == [3]
    assert find(tree, prediction, kind="interface").distances_mm.tolist() == pytest.approx([math.sqrt(18)])


def test_groups_and_their_mean():
    prediction = row(1, 1, 0, 0, 0, 0, 2, 2)
    tree = row(1, 2, 1, 0, 1, 1, 1, 2)
    # of 1: x = 2 (1 mm) and 4 to 6 (5 mm), a gap between; of 2: x = 1 (5 mm); x = 0 and 7 are at home
    found = find(tree, prediction)
    assert as_list(found) == [(1, 1, 1), (1, 3, 5), (2, 1, 5)]
    assert found.mean_distance_mm == pytest.approx(11 / 3)
    assert found.total_distance_mm == pytest.approx(11)
    assert as_list(found.of([2])) == [(2, 1, 5)]
    assert found.of([3]).number == 0


def test_neighbours_of_two_classes_are_two_groups():
    prediction, tree = row(3, 0, 0, 3, 1, 2), row(0, 1, 2, 0, 0, 0)
    assert as_list(find(tree, prediction)) == [(1, 1, 3), (2, 1, 3)]


@pytest.mark.parametrize(("connectivity", "number"), [(26, 1), (18, 2), (6, 3)])
def test_connectivity(connectivity, number):
    tree, prediction = np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)
    prediction[3, 3, 3] = 1
    # the second touches the first by an edge, the third the second by a corner
    tree[0, 0, 0] = tree[0, 1, 1] = tree[1, 2, 2] = 1
    assert find(tree, prediction, connectivity=connectivity).number == number


def test_small_groups_can_be_left_out():
    prediction, tree = row(1, 0, 0, 0, 0, 0, 0), row(0, 1, 0, 1, 1, 0, 1)
    assert as_list(find(tree, prediction, min_size=2)) == [(1, 2, 4)]
    assert find(tree, prediction, min_size=3).number == 0


def test_no_intrusion_has_no_distance():
    for tree in (row(1, 1, 0), row(0, 0, 0)):
        found = find(tree, row(1, 1, 2))
        assert (found.number, found.total_distance_mm) == (0, 0)
        assert math.isnan(found.mean_distance_mm)


def test_a_segment_that_was_not_predicted_counts_but_has_no_distance():
    prediction, tree = row(0, 0, 2, 0, 0), row(1, 0, 1, 0, 2)
    found = find(tree, prediction)
    assert (found.number, np.isnan(found.distances_mm).sum()) == (3, 2)
    assert found.mean_distance_mm == 2  # of the one that has one
    assert found.total_distance_mm == 6  # as if the others were as far
    alone = find(row(1, 0, 0), row(0, 0, 0))
    assert alone.number == 1
    assert math.isnan(alone.mean_distance_mm)
    assert math.isnan(alone.total_distance_mm)


def test_a_segment_that_touches_no_other_has_no_interface():
    found = find(row(0, 0, 0, 1), row(1, 0, 2, 2), kind="interface")
    assert found.number == 1
    assert math.isnan(found.mean_distance_mm)


@pytest.mark.parametrize("connectivity", [26, 18, 6])
@pytest.mark.parametrize("kind", ["whole", "interface"])
@pytest.mark.parametrize(
    ("classes", "shape", "spacing"),
    [
        (2, (8, 9, 7), (1, 1, 1)),
        (4, (9, 6, 8), (2.5, 0.7, 0.7)),
        (61, (12, 13, 14), (0.5, 1.3, 0.9)),
        (3, (1, 12, 9), (1, 2, 0.3)),
        (5, (2, 1, 17), (1, 1, 1)),
    ],
)
def test_against_full_distance_maps(classes, shape, spacing, kind, connectivity):
    reference, prediction = blobs(1, shape, classes, 0.9), blobs(2, shape, classes, 0.8)
    tree = np.where(np.random.default_rng(3).uniform(size=shape) < 0.3, reference, 0)
    prediction[: shape[0] // 2] = reference[: shape[0] // 2]
    found = as_list(find(tree, prediction, spacing, connectivity, kind=kind))
    expected = intrusions_of(tree, prediction, classes, spacing, connectivity, kind == "interface")
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_more_classes_than_a_byte_holds():
    reference = np.kron(np.arange(1, 344).reshape(7, 7, 7), np.ones((2, 2, 2), int))
    prediction = np.roll(reference, 1, axis=0)
    tree = np.where(np.random.default_rng(0).uniform(size=reference.shape) < 0.5, reference, 0)
    assert reference.max() == 343
    expected = intrusions_of(tree, prediction, 344, (1, 1, 2))
    np.testing.assert_allclose(as_list(find(tree, prediction, (1, 1, 2))), expected, rtol=1e-12)


@given(label_maps, label_maps, spacings)
def test_against_full_distance_maps_on_anything(tree, prediction, spacing):
    expected = intrusions_of(tree, prediction, 4, spacing)
    found = as_list(find(tree, prediction, spacing))
    assert len(found) == len(expected)
    np.testing.assert_allclose(np.reshape(found, (-1, 3)), np.reshape(expected, (-1, 3)), rtol=1e-12)


@given(label_maps, label_maps, spacings, st.sampled_from([0.1, 0.25, 3.0]), st.sampled_from(["whole", "interface"]))
def test_distances_scale_with_the_spacing_and_nothing_else_does(tree, prediction, spacing, factor, kind):
    bare = find(tree, prediction, spacing, kind=kind)
    scaled = find(tree, prediction, tuple(factor * s for s in spacing), kind=kind)
    np.testing.assert_array_equal(scaled.classes, bare.classes)
    np.testing.assert_array_equal(scaled.sizes, bare.sizes)
    np.testing.assert_allclose(scaled.distances_mm, factor * bare.distances_mm, rtol=1e-12)


@given(label_maps, label_maps, spacings, st.permutations([1, 2, 3]), st.sampled_from([26, 18, 6]))
def test_permuted_labels_permute_the_results(tree, prediction, spacing, order, connectivity):
    table = np.array([0, *order], np.uint8)
    bare = find(tree, prediction, spacing, connectivity)
    permuted = find(table[tree], table[prediction], spacing, connectivity)
    for label in (1, 2, 3):
        one, other = as_list(bare.of([label])), as_list(permuted.of([order[label - 1]]))
        np.testing.assert_allclose([g[1:] for g in one], [g[1:] for g in other], rtol=1e-12)


@given(label_maps, label_maps, spacings, st.sampled_from([(0,), (1,), (2,), (0, 1, 2)]), st.sampled_from([26, 18, 6]))
def test_flipped_axes_change_nothing(tree, prediction, spacing, axes, connectivity):
    bare = as_list(find(tree, prediction, spacing, connectivity))
    flipped = as_list(find(np.flip(tree, axes), np.flip(prediction, axes), spacing, connectivity))
    np.testing.assert_allclose(np.reshape(flipped, (-1, 3)), np.reshape(bare, (-1, 3)), rtol=1e-12)


@given(label_maps, label_maps)
def test_groups_hold_each_intruding_voxel_once(tree, prediction):
    found = find(tree, prediction)
    assert found.sizes.sum() == ((tree != 0) & (tree != prediction)).sum()
    assert find(tree, prediction, connectivity=6).number >= found.number
    assert find(tree, tree).number == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"connectivity": 8}, r"connectivity is 8; expected one of \(26, 18, 6\)"),
        ({"kind": "near"}, "surface is 'near'; expected one of whole, interface"),
        ({"tree": row(1, 1)}, r"tree has shape \(1, 1, 2\), prediction \(1, 1, 3\); expected the same"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        find(**({"tree": row(1, 0, 0), "prediction": row(0, 0, 1)} | arguments))

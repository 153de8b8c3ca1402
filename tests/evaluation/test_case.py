import math

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nnunetv2.evaluation.evaluate_predictions import compute_metrics
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO

from impulse_nnunet.evaluation.case import evaluate_case
from impulse_nnunet.evaluation.settings import MetricSettings
from impulse_nnunet.evaluation.surface import normalised_surface_dice
from tests.evaluation.brute_force import all_nsd, blobs, disturbed, intrusions_of, monai_assd, monai_hd95

NNUNETS = ("Dice", "IoU", "TP", "FP", "FN", "TN", "n_pred", "n_ref")
SPACING = (1.5, 0.7, 0.9)
label_maps = arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 3))


def nnunets_numbers(folder, reference, prediction, labels, ignore=None):
    for name, labels_of_file in (("reference", reference), ("prediction", prediction)):
        nibabel.save(nibabel.Nifti1Image(labels_of_file.T, np.eye(4)), folder / f"{name}.nii")
    files = (str(folder / f"{name}.nii") for name in ("reference", "prediction"))
    metrics = compute_metrics(*files, NibabelIO(), labels, ignore)["metrics"]
    return {name: [metrics[label][name] for label in labels] for name in NNUNETS}


def equal(one, other):
    """All numbers of two cases are the same."""
    for name, values in one.per_label.items():
        np.testing.assert_allclose(other.per_label[name], values, rtol=1e-12, err_msg=name)
    for name, tree in one.trees.items():
        np.testing.assert_array_equal(other.trees[name].confusion, tree.confusion)
        np.testing.assert_array_equal(other.trees[name].dice_inside, tree.dice_inside)
        assert other.trees[name].n_outside == tree.n_outside
        if tree.intrusions is not None:
            for field in ("classes", "sizes", "distances_mm"):
                ours, theirs = (getattr(t.intrusions, field) for t in (tree, other.trees[name]))
                np.testing.assert_allclose(np.sort(theirs), np.sort(ours), rtol=1e-12)
    np.testing.assert_equal(other.lobes, one.lobes)
    assert one.per_label.keys() == other.per_label.keys()
    assert one.trees.keys() == other.trees.keys()


@pytest.fixture
def maps():
    """Reference, prediction and tree with background around them, 5 classes of which the last is absent."""
    reference = np.pad(blobs(0, (7, 8, 9), 4), ((2, 1), (3, 0), (0, 4)))
    prediction = disturbed(reference, 1)
    tree = np.random.default_rng(2).uniform(size=reference.shape) < 0.2
    return reference.astype(np.uint8), prediction.astype(np.uint8), tree


# --- overlap: nnU-Net's own numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 5, 61, 301])
def test_overlap_is_nnunets_exactly(tmp_path, classes):
    reference = blobs(classes, (8, 11, 10), classes).astype(np.uint16)
    prediction = disturbed(reference, 1)
    prediction[prediction == 1] = 0
    ours = evaluate_case(reference, prediction, classes, SPACING).per_label
    for name, expected in nnunets_numbers(tmp_path, reference, prediction, list(range(1, classes))).items():
        np.testing.assert_array_equal(ours[name], expected, err_msg=name)


def test_ignored_voxels_are_nnunets(tmp_path, maps):
    reference, prediction, _ = maps
    marked = reference.copy()
    marked[4:6] = 9
    marked[:, -3:, -6:] = 9
    valid = marked != 9
    ours = evaluate_case(reference, prediction, 5, SPACING, valid=valid).per_label
    for name, expected in nnunets_numbers(tmp_path, marked, prediction, [1, 2, 3, 4], 9).items():
        np.testing.assert_array_equal(ours[name], expected, err_msg=name)
    blank = [np.where(valid, labels, 0) for labels in (reference, prediction)]
    np.testing.assert_allclose(ours["NSD_1mm"], all_nsd(*blank, 5, SPACING, 1, "voxel"))


def test_no_tree_is_seen_where_voxels_are_ignored(maps):
    reference, prediction, tree = maps
    valid = np.random.default_rng(0).uniform(size=reference.shape) < 0.5
    blank = [np.where(valid, labels, 0) for labels in (reference, prediction)]
    for tree_labels in (False, True):
        given_tree = np.where(tree, 3, 0) if tree_labels else tree
        settings = MetricSettings(tree_labels=tree_labels)
        ours = evaluate_case(reference, prediction, 5, SPACING, settings, {"vein": given_tree}, valid=valid)
        expected = evaluate_case(*blank, 5, SPACING, settings, {"vein": np.where(valid, given_tree, 0)})
        tn = ours.per_label.pop("TN") + (~valid).sum()
        np.testing.assert_array_equal(tn, expected.per_label.pop("TN"))
        equal(ours, expected)
        vein = ours.trees["vein"]
        assert vein.confusion.sum() + (0 if tree_labels else vein.n_outside) == (valid & tree).sum()


def test_nothing_valid():
    labels = np.ones((2, 3, 4), np.uint8)
    found = evaluate_case(labels, labels, 3, SPACING, None, {"vein": labels}, valid=np.zeros(labels.shape, bool))
    assert all(np.isnan(found.per_label[name]).all() for name in ("Dice", "IoU", "NSD_1mm", "NSD_3mm"))
    assert found.per_label["TN"].tolist() == [0, 0]
    assert (found.trees["vein"].intrusions.number, found.trees["vein"].n_outside) == (0, 0)


# --- everything else -------------------------------------------------------------------------------------------------


def test_surfaces_and_trees_are_those_of_full_volumes(maps):
    reference, prediction, tree = maps
    settings = MetricSettings(
        tolerances_mm=(0.5, 2.0), surface="voxel", connectivity=18, min_size=1, hd95=True, assd=True
    )
    trees = {"airway": tree, "interseg": tree * 77}
    found = evaluate_case(reference, prediction, 5, SPACING, settings, trees, {"upper": [1, 3], "lower": [2]})
    assert list(found.per_label) == [*NNUNETS, "NSD_0.5mm", "NSD_2mm", "HD95_mm", "ASSD_mm"]
    for name, tolerance in (("NSD_0.5mm", 0.5), ("NSD_2mm", 2)):
        np.testing.assert_allclose(
            found.per_label[name], all_nsd(reference, prediction, 5, SPACING, tolerance, "voxel"), rtol=1e-14
        )
    for name, expected in (("HD95_mm", monai_hd95), ("ASSD_mm", monai_assd)):
        np.testing.assert_allclose(
            found.per_label[name][:3], expected(reference, prediction, 5, SPACING)[:3], rtol=1e-6
        )
        assert np.isnan(found.per_label[name][3])
    own = np.where(tree, reference, 0)
    groups = intrusions_of(own, prediction, 5, SPACING, 18)
    airway = found.trees["airway"]
    np.testing.assert_allclose(sorted(airway.intrusions.distances_mm), sorted(g[2] for g in groups))
    assert airway.n_outside == (tree & (reference == 0)).sum()
    for label in range(1, 4):
        inside, predicted = own == label, (prediction == label) & tree
        dice = 2 * (inside & predicted).sum() / (inside.sum() + predicted.sum())
        assert airway.dice_inside[label - 1] == pytest.approx(dice)
        assert found.trees["interseg"].dice_inside[label - 1] == pytest.approx(dice)
    assert found.trees["interseg"].intrusions is None
    assert found.trees["interseg"].n_outside == airway.n_outside
    for name, members in (("upper", [1, 3]), ("lower", [2])):
        both = [np.isin(labels, members) for labels in (reference, prediction)]
        assert found.lobes[name] == pytest.approx(2 * (both[0] & both[1]).sum() / (both[0].sum() + both[1].sum()))


def test_the_surfel_surface_is_used(maps):
    reference, prediction, _ = maps
    found = evaluate_case(reference, prediction, 5, SPACING, MetricSettings(tolerances_mm=(1.0,), surface="surfel"))
    expected = normalised_surface_dice(reference, prediction, 5, SPACING, (1.0,), "surfel")[0]
    np.testing.assert_allclose(found.per_label["NSD_1mm"], expected, rtol=1e-12)
    assert not np.allclose(expected[:3], all_nsd(reference, prediction, 5, SPACING, 1, "voxel")[:3])


def test_the_interface_is_used():
    reference, prediction = np.zeros((1, 5, 6), np.uint8), np.zeros((1, 5, 6), np.uint8)
    prediction[0, 0, :4], prediction[0, 1, 0], prediction[0, 3] = 1, 2, 2
    reference[0, 3, 3] = 1
    tree = reference.copy()
    found = [
        evaluate_case(reference, prediction, 3, (1, 1, 1), MetricSettings(intrusion_surface=kind), {"artery": tree})
        for kind in ("whole", "interface")
    ]
    distances = [case.trees["artery"].intrusions.mean_distance_mm for case in found]
    assert distances == pytest.approx([3, math.sqrt(18)])


def test_wanting_far_distances_leaves_the_near_ones_as_they_are(maps):
    reference, prediction, _ = maps
    near = evaluate_case(reference, prediction, 5, SPACING, MetricSettings()).per_label
    far = evaluate_case(reference, prediction, 5, SPACING, MetricSettings(hd95=True, assd=True)).per_label
    for name, values in near.items():
        np.testing.assert_array_equal(far[name], values)


def test_background_around_changes_only_the_true_negatives(maps):
    # nothing may lie on a face: a voxel there stays a surface voxel either way, so the numbers are the same too
    trees = {"artery": maps[2], "vein": maps[2] & (maps[0] > 0)}
    one = evaluate_case(*maps[:2], 5, SPACING, trees=trees, lobes={"a": [1, 2]})
    padded = [np.pad(array, ((3, 0), (1, 5), (2, 2))) for array in (*maps, trees["vein"])]
    other = evaluate_case(*padded[:2], 5, SPACING, trees={"artery": padded[2], "vein": padded[3]}, lobes={"a": [1, 2]})
    more = padded[0].size - maps[0].size
    np.testing.assert_array_equal(other.per_label.pop("TN"), one.per_label.pop("TN") + more)
    equal(one, other)


def test_tree_voxels_beyond_the_foreground_are_outside():
    reference, prediction, tree = (np.zeros((6, 6, 12), np.uint8) for _ in range(3))
    reference[2, 2, 2:5], prediction[2, 2, 2:4], tree[2, 2, 2:12] = 1, 1, 1
    plain = evaluate_case(reference, prediction, 2, (1, 1, 1), trees={"vein": tree}).trees["vein"]
    assert (plain.n_outside, plain.n_voxels.tolist(), plain.n_background.tolist()) == (7, [3], [1])
    assert plain.intrusions.distances_mm.tolist() == [1]
    # with labels of its own the tree counts there: x = 4 to 11, 8 mm from x = 3
    settings = MetricSettings(tree_labels=True)
    labelled = evaluate_case(reference, prediction, 2, (1, 1, 1), settings, {"vein": tree}).trees["vein"]
    assert (labelled.n_outside, labelled.n_voxels.tolist(), labelled.n_background.tolist()) == (7, [10], [8])
    assert labelled.intrusions.distances_mm.tolist() == [8]


@pytest.mark.parametrize("empty", ["both", "reference", "prediction"])
def test_empty_maps(empty):
    labels = [np.zeros((2, 3, 4), np.uint8) for _ in range(2)]
    if empty != "both":
        labels[empty == "reference"][0, 1] = 1
    settings, tree = MetricSettings(hd95=True, assd=True), np.ones((2, 3, 4), np.uint8)
    found = evaluate_case(*labels, 3, SPACING, settings, {"airway": tree, "interseg": tree}, {"a": [1], "b": [2]})
    value = np.nan if empty == "both" else 0
    for name in ("Dice", "IoU", "NSD_1mm", "NSD_2mm", "NSD_3mm"):
        np.testing.assert_array_equal(found.per_label[name], [value, np.nan])
    for name in ("HD95_mm", "ASSD_mm"):
        np.testing.assert_array_equal(found.per_label[name], [np.nan, np.nan])
    assert found.per_label["TN"].tolist() == [20 + 4 * (empty == "both"), 24]
    np.testing.assert_array_equal(list(found.lobes.values()), [value, np.nan])
    airway = found.trees["airway"]
    assert airway.n_outside == (20 if empty == "prediction" else 24)
    # the reference's voxels are tree, and nothing was predicted: one group without a distance
    assert airway.intrusions.number == (empty == "prediction")
    assert math.isnan(airway.intrusions.mean_distance_mm)


def test_absent_labels_count_as_zero_where_that_is_asked_for():
    reference, prediction = np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 2), np.uint8)
    reference[0], prediction[0], prediction[1, 1, 1] = 1, 1, 2
    settings = MetricSettings(tolerances_mm=(1.0,), absent="zero", hd95=True)
    found = evaluate_case(reference, prediction, 4, (1, 1, 1), settings).per_label
    for name in ("Dice", "IoU", "NSD_1mm"):
        np.testing.assert_array_equal(found[name], [1, 0, 0])
    np.testing.assert_array_equal(found["HD95_mm"], [0, np.nan, np.nan])  # 0 mm would be perfect


# --- properties ------------------------------------------------------------------------------------------------------


@given(label_maps, label_maps, st.sampled_from([(0,), (1,), (2,), (0, 1, 2)]), st.permutations([1, 2, 3]))
def test_flips_and_permutations(reference, prediction, axes, order):
    tree = (reference + prediction) % 2
    lobes = {"a": [1, 2], "b": [3]}
    one = evaluate_case(reference, prediction, 4, SPACING, trees={"airway": tree}, lobes=lobes)
    flipped = (np.flip(array, axes) for array in (reference, prediction, tree))
    other = evaluate_case(next(flipped), next(flipped), 4, SPACING, trees={"airway": next(flipped)}, lobes=lobes)
    equal(one, other)
    table = np.array([0, *order], np.uint8)
    permuted = evaluate_case(table[reference], table[prediction], 4, SPACING, trees={"airway": tree})
    for name, values in one.per_label.items():
        np.testing.assert_allclose(permuted.per_label[name][np.array(order) - 1], values, rtol=1e-12)
    for number, name in ((1, order[0]), (2, order[1]), (3, order[2])):
        ours, theirs = one.trees["airway"].intrusions.of([number]), permuted.trees["airway"].intrusions.of([name])
        np.testing.assert_allclose(sorted(ours.distances_mm), sorted(theirs.distances_mm), rtol=1e-12)


@given(label_maps, label_maps)
def test_swapping_the_maps_swaps_errors_and_keeps_agreement(reference, prediction):
    one, other = (
        evaluate_case(*pair, 4, SPACING).per_label for pair in ((reference, prediction), (prediction, reference))
    )
    for name, counterpart in (("FP", "FN"), ("n_pred", "n_ref"), ("TP", "TP"), ("TN", "TN"), ("Dice", "Dice")):
        np.testing.assert_array_equal(one[name], other[counterpart])
    np.testing.assert_allclose(one["NSD_1mm"], other["NSD_1mm"], rtol=1e-12)


# --- kinds of arrays and bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["u1", "i1", ">u2", "<i4", ">i8", "u8"])
def test_any_integers_in_any_layout(maps, kind):
    trees = {"artery": maps[2], "interseg": maps[2]}
    expected = evaluate_case(*maps[:2], 5, SPACING, trees=trees)
    reference, prediction, tree = (np.asfortranarray(array.astype(kind)) for array in maps)
    for array in (reference, prediction, tree):
        array.flags.writeable = False
    equal(expected, evaluate_case(reference, prediction, 5, SPACING, trees={"artery": tree, "interseg": tree}))
    labelled = np.where(maps[2], maps[0], 0)
    settings = MetricSettings(tree_labels=True)
    found = evaluate_case(reference, prediction, 5, SPACING, settings, {"artery": labelled.astype(kind)[::1]})
    equal(evaluate_case(*maps[:2], 5, SPACING, settings, {"artery": labelled}), found)


def test_nothing_that_is_handed_in_is_changed(maps):
    before = [array.copy() for array in maps]
    valid = np.random.default_rng(0).uniform(size=maps[0].shape) < 0.5
    evaluate_case(*maps[:2], 5, SPACING, trees={"airway": maps[2]}, valid=valid)
    for array, old in zip(maps, before, strict=True):
        np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prediction": np.zeros((2, 3, 5), int)}, r"reference has shape \(2, 3, 4\), prediction \(2, 3, 5\)"),
        ({"trees": {"vein": np.zeros((3, 2, 4))}}, r"reference has shape \(2, 3, 4\), vein \(3, 2, 4\); expected the"),
        ({"reference": np.full((2, 3, 4), 5)}, "reference has labels from 5 to 5; expected 0 to 2"),
        ({"prediction": np.full((2, 3, 4), -3)}, "prediction has labels from -3 to -3; expected 0 to 2"),
        ({"spacing_mm": (1, math.nan, 1)}, "expected three positive numbers"),
    ],
)
def test_bad_input_is_named(changes, message):
    arguments = {
        "reference": np.zeros((2, 3, 4), int),
        "prediction": np.zeros((2, 3, 4), int),
        "number_of_classes": 3,
        "spacing_mm": (1, 1, 1),
    }
    with pytest.raises(ValueError, match=message):
        evaluate_case(**(arguments | changes))


def test_other_dimensions_and_fractions_are_refused():
    flat = np.zeros((2, 3), int)
    with pytest.raises(ValueError, match=r"reference has shape \(2, 3\); expected \(d, h, w\)"):
        evaluate_case(flat, flat, 2, (1, 1))
    soft = np.full((2, 3, 4), 0.5)
    with pytest.raises(TypeError, match="reference has voxels of type float64; expected integers"):
        evaluate_case(soft, soft, 2, (1, 1, 1))

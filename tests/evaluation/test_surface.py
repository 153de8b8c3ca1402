import math

import numpy as np
import pytest
import surface_distance
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from impulse_nnunet.evaluation import surface as module
from impulse_nnunet.evaluation.surface import (
    assd_from_distances,
    hausdorff95_from_distances,
    normalised_surface_dice,
    nsd_from_distances,
    surface_distances,
    surfel_areas_mm2,
)
from tests.evaluation.brute_force import (
    all_nsd,
    blobs,
    disturbed,
    monai_areas,
    monai_assd,
    monai_hd95,
    monai_nsd,
    surface_distances_of,
)

BOTH = pytest.mark.parametrize("surface", ["voxel", "surfel"])
SPACINGS = [(1.0, 1.0, 1.0), (3.0, 0.7, 0.7), (0.31, 2.3, 1.1), (1.25, 0.683, 0.683)]
kinds = st.sampled_from(["voxel", "surfel"])
label_maps = arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 3))
spacings = st.tuples(*[st.sampled_from([0.5, 0.7, 1.0, 1.7, 3.0])] * 3)


def nsd(reference, prediction, number_of_classes=2, spacing=(1, 1, 1), tolerances=(1,), surface="voxel"):
    return normalised_surface_dice(reference, prediction, number_of_classes, spacing, tolerances, surface)


def voxels(shape, *places):
    labels = np.zeros(shape, np.uint8)
    for place in places:
        labels[place] = 1
    return labels


def planes(first, last, size=100):
    labels = np.zeros((size, size, size), np.uint8)
    labels[first:last] = 1
    return labels


# --- known answers ---------------------------------------------------------------------------------------------------


def test_two_single_voxels_two_apart():
    one, other = voxels((128, 128, 128), (50, 60, 70)), voxels((128, 128, 128), (50, 60, 72))
    # the voxels' centres are 2 mm apart
    np.testing.assert_array_equal(nsd(one, other, 2, (3, 2, 1), (1, 2), "voxel"), [[0], [1]])
    # of the eight cells around each voxel four lie 1 mm from the other's four, the others 2 mm; all areas are equal
    np.testing.assert_allclose(nsd(one, other, 2, (3, 2, 1), (1, 2), "surfel"), [[0.5], [1]], rtol=1e-15)


def test_a_half_space_grown_by_a_plane():
    result = [nsd(planes(0, 50), planes(0, 51), 2, (2, 1, 1), (1,), surface).item() for surface in ("voxel", "surfel")]
    # Voxels: boxes without their insides. Too far are, of the reference's last plane, what lies neither on its rim (the
    # other's wall) nor one beside it, and all of the prediction's last plane, 2 mm away.
    voxel = 1 - (96**2 + 100**2) / ((50 * 100**2 - 48 * 98**2) + (51 * 100**2 - 49 * 98**2))
    # Areas: faces, edges along d and along h or w, corners; of the last planes too far are the same two sets.
    long, short, corner = 2 * math.sqrt(0.5), math.sqrt(1 + 0.25), math.sqrt(0.25**2 + 2 * 0.5**2) / 2
    total = sum(2 * 99**2 + 4 * 2 * n * 99 + 4 * n * long + 8 * 99 * short + 8 * corner for n in (49, 50))
    surfel = 1 - (97**2 + 99**2 + 4 * 99 * short + 4 * corner) / total
    np.testing.assert_allclose(result, [voxel, surfel], rtol=1e-12)
    np.testing.assert_allclose(result, [0.7549354691, 0.8361450085], atol=5e-11)  # google-deepmind/surface-distance


def test_areas_in_a_cell_by_hand():
    areas = surfel_areas_mm2((1.0, 1.0, 1.0))
    # one corner: an equilateral triangle with sides sqrt(1/2)
    np.testing.assert_allclose(areas[[1 << bit for bit in range(8)]], math.sqrt(3) / 8, rtol=1e-14)
    # four corners of one face: the plane through the middle
    np.testing.assert_allclose(areas[[0b1111, 0b11110000, 0b110011, 0b1010101]], 1, rtol=1e-14)
    # an edge: sqrt(1/2) wide, 1 long
    np.testing.assert_allclose(areas[0b11], math.sqrt(0.5), rtol=1e-14)
    # a plane across d is h x w large
    assert surfel_areas_mm2((5.0, 3.0, 2.0))[0b1111] == pytest.approx(6)
    assert areas[0] == areas[255] == 0


@pytest.mark.parametrize("spacing", SPACINGS)
def test_areas_are_those_of_surface_distance(spacing):
    reversed_bits = [int(f"{code:08b}"[::-1], 2) for code in range(256)]
    np.testing.assert_allclose(surfel_areas_mm2(spacing), monai_areas(spacing)[reversed_bits], rtol=1e-6)


# --- against other code ----------------------------------------------------------------------------------------------

RANDOM = [
    (seed, shape, classes, spacing, tolerance)
    for seed, (shape, classes, spacing, tolerance) in enumerate(
        [
            ((9, 8, 7), 2, SPACINGS[0], 0.6),
            ((6, 12, 11), 3, SPACINGS[1], 1.03),
            ((12, 5, 9), 4, SPACINGS[2], 2.17),
            ((10, 10, 10), 7, SPACINGS[3], 1.11),
            ((1, 12, 9), 3, SPACINGS[3], 1.37),
            ((4, 1, 1), 3, SPACINGS[0], 1.51),
            ((14, 14, 14), 61, SPACINGS[1], 1.9),
            ((14, 14, 14), 71, SPACINGS[3], 1.45),
        ]
    )
]


@BOTH
@pytest.mark.parametrize(("seed", "shape", "classes", "spacing", "tolerance"), RANDOM)
def test_nsd_is_monais_and_that_of_full_distance_maps(seed, shape, classes, spacing, tolerance, surface):
    reference = blobs(seed, shape, classes)
    prediction = disturbed(reference, seed)
    ours = nsd(reference, prediction, classes, spacing, (tolerance,), surface)[0]
    assert np.nanmin(ours) < np.nanmax(ours) or classes < 4
    expected = all_nsd(reference, prediction, classes, spacing, tolerance, surface)
    # the reference's areas are float32 inside MONAI
    np.testing.assert_allclose(ours, expected, rtol=1e-14 if surface == "voxel" else 1e-6)
    np.testing.assert_allclose(ours, monai_nsd(reference, prediction, classes, spacing, tolerance, surface), atol=1e-6)


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")
@pytest.mark.parametrize(("seed", "shape", "classes", "spacing", "tolerance"), RANDOM[:6])
def test_areas_hd95_and_assd_are_those_of_surface_distance(seed, shape, classes, spacing, tolerance):
    reference = blobs(seed, shape, classes)
    prediction = disturbed(reference, seed)
    pair = surface_distances(reference, prediction, spacing, "surfel")
    found = np.stack(
        [
            nsd_from_distances(pair, classes, [tolerance])[0],
            hausdorff95_from_distances(pair, classes, "surfel"),
            assd_from_distances(pair, classes),
        ],
        axis=1,
    )
    for label in range(1, classes):
        masks = (reference == label, prediction == label)
        if not (masks[0].any() and masks[1].any()):
            continue
        theirs = surface_distance.compute_surface_distances(*masks, spacing)
        means = surface_distance.compute_average_surface_distance(theirs)
        areas = [theirs[f"surfel_areas_{side}"].sum() for side in ("gt", "pred")]
        expected = [
            surface_distance.compute_surface_dice_at_tolerance(theirs, tolerance),
            surface_distance.compute_robust_hausdorff(theirs, 95),
            np.average(means, weights=areas),
        ]
        np.testing.assert_allclose(found[label - 1], expected, rtol=1e-9)


@BOTH
def test_more_classes_than_a_byte_holds(surface):
    rng = np.random.default_rng(0)
    reference = np.kron(rng.permutation(343).reshape(7, 7, 7), np.ones((2, 2, 2), int))
    prediction = disturbed(reference, 1)
    ours = nsd(reference, prediction, 343, (1, 1.2, 0.9), (1.05,), surface)[0]
    chosen = [1, 64, 65, 128, 129, 255, 256, 257, 320, 342]
    expected = [
        all_nsd(reference == label, prediction == label, 2, (1, 1.2, 0.9), 1.05, surface).item() for label in chosen
    ]
    np.testing.assert_allclose(ours[np.array(chosen) - 1], expected, rtol=1e-6)


@pytest.mark.parametrize(("seed", "shape", "classes", "spacing", "tolerance"), RANDOM[:5])
def test_hd95_and_assd_are_monais(seed, shape, classes, spacing, tolerance):
    reference = blobs(seed, shape, classes)
    prediction = disturbed(reference, seed)
    pair = surface_distances(reference, prediction, spacing)
    expected = monai_hd95(reference, prediction, classes, spacing)
    np.testing.assert_allclose(hausdorff95_from_distances(pair, classes, "voxel"), expected, rtol=1e-6)
    np.testing.assert_allclose(
        assd_from_distances(pair, classes), monai_assd(reference, prediction, classes, spacing), rtol=1e-6
    )


@pytest.mark.parametrize(("seed", "shape", "classes", "spacing", "tolerance"), RANDOM[:4])
def test_hd95_and_assd_of_areas(seed, shape, classes, spacing, tolerance):
    reference = blobs(seed, shape, classes)
    prediction = disturbed(reference, seed)
    pair = surface_distances(reference, prediction, spacing, "surfel")
    hd95, assd = [], []
    for label in range(1, classes):
        sides = surface_distances_of(reference == label, prediction == label, spacing, "surfel")
        # by the definition: the smallest distance within which 95 % of a surface's area lie, the larger of both
        hd95.append(
            max(
                min(d for d in np.unique(distances) if weights[distances <= d].sum() >= 0.95 * weights.sum())
                for distances, weights in sides
            )
        )
        area = sum(weights.sum() for _, weights in sides)
        assd.append(sum((distances * weights).sum() for distances, weights in sides) / area)
    np.testing.assert_allclose(hausdorff95_from_distances(pair, classes, "surfel"), hd95, rtol=1e-6)
    np.testing.assert_allclose(assd_from_distances(pair, classes), assd, rtol=1e-6)


# --- what is empty, small or at an edge ------------------------------------------------------------------------------


@BOTH
def test_in_neither_nan_in_one_of_them_zero(surface):
    reference, prediction = np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)
    reference[1, 1, 1], prediction[2, 2, 2], reference[3], prediction[3] = 1, 2, 4, 4
    np.testing.assert_array_equal(nsd(reference, prediction, 5, (1, 1, 1), (9,), surface), [[0, 0, np.nan, 1]])
    np.testing.assert_array_equal(nsd(reference, prediction, 5, (1, 1, 1), (999,), surface), [[0, 0, np.nan, 1]])
    pair = surface_distances(reference, prediction, (1, 1, 1), surface)
    np.testing.assert_array_equal(hausdorff95_from_distances(pair, 5, surface), [np.nan, np.nan, np.nan, 0])
    np.testing.assert_array_equal(assd_from_distances(pair, 5), [np.nan, np.nan, np.nan, 0])


@BOTH
@pytest.mark.parametrize("tolerance", [0, 1, 50])
def test_empty_maps(surface, tolerance):
    empty, full = np.zeros((3, 4, 5), np.uint8), np.ones((3, 4, 5), np.uint8)
    np.testing.assert_array_equal(nsd(empty, empty, 3, (1, 1, 1), (tolerance,), surface), [[np.nan, np.nan]])
    np.testing.assert_array_equal(nsd(empty, full, 3, (1, 1, 1), (tolerance,), surface), [[0, np.nan]])
    np.testing.assert_array_equal(nsd(full, empty, 3, (1, 1, 1), (tolerance,), surface), [[0, np.nan]])
    np.testing.assert_array_equal(nsd(full, full, 3, (1, 1, 1), (tolerance,), surface), [[1, np.nan]])


def test_voxels_on_the_images_faces_are_surface():
    # a map that is foreground everywhere: all of 3 x 3 x 3 but the middle, against the middle alone
    full, middle = np.ones((3, 3, 3), np.uint8), voxels((3, 3, 3), (1, 1, 1))
    # within 1 mm of each other: 6 of 26 and 1 of 1; within sqrt(2): 18 of 26; within sqrt(3): all
    result = nsd(full, middle, 2, (1, 1, 1), (0, 1, 1.4142136, 1.7320509))
    np.testing.assert_allclose(result[:, 0], [0, 7 / 27, 19 / 27, 1])


@BOTH
def test_zero_tolerance_asks_for_the_same_place(surface):
    reference, prediction = voxels((1, 1, 6), (0, 0, 1), (0, 0, 2)), voxels((1, 1, 6), (0, 0, 2), (0, 0, 3))
    # voxels: 1 of 2 in each. Cells around a 1 x 1 x 2 bar: 4 corners' cells at either end, 4 on its edge between; the
    # bars share one end's place with the other's middle and the other way round
    end, edge = math.sqrt(3) / 8, math.sqrt(0.5)
    expected = 0.5 if surface == "voxel" else (4 * end + 4 * edge) / (8 * end + 4 * edge)
    assert nsd(reference, prediction, tolerances=(0,), surface=surface).item() == pytest.approx(expected)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("spacing", [0.1, 0.3, 0.6, 0.7, 0.8, 0.9, 1.1])
@BOTH
def test_ties_count_whatever_float32_made_of_the_spacing(spacing, steps, surface):
    stored = float(np.float32(spacing))
    one, other = voxels((1, 1, 14), (0, 0, 1)), voxels((1, 1, 14), (0, 0, 1 + steps))
    tolerance = round(steps * spacing, 6)  # as a user writes it
    for largest in ((tolerance,), (tolerance, 1000)):  # ball and tree
        assert nsd(one, other, 2, (stored,) * 3, largest, surface)[0, 0] == 1
        just_below = tuple(t - 1e-4 for t in largest)
        assert nsd(one, other, 2, (stored,) * 3, just_below, surface)[0, 0] < 1


def test_thick_slices_count_as_thick():
    one = voxels((4, 4, 4), (1, 1, 1))
    above, beside = voxels((4, 4, 4), (2, 1, 1)), voxels((4, 4, 4), (1, 1, 2))
    assert nsd(one, above, 2, (5, 1, 1), (1, 4.9, 5)).ravel().tolist() == [0, 0, 1]
    assert nsd(one, beside, 2, (5, 1, 1), (0.9, 1, 5)).ravel().tolist() == [0, 1, 1]


# --- both ways of finding distances ----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("classes", [3, 10, 20, 40, 70])
def test_search_in_a_ball_is_the_trees_answer(monkeypatch, surface, classes):
    reference = blobs(classes, (9, 11, 13), classes)
    prediction = disturbed(reference, 2)
    spacing = (1.5, 0.7, 0.8)
    balls = surface_distances(reference, prediction, spacing, surface, 2.5)
    whole = surface_distances(reference, prediction, spacing, surface)
    monkeypatch.setattr(module, "LARGEST_BALL", 0)
    limited = surface_distances(reference, prediction, spacing, surface, 2.5)
    for ball, tree, other in zip(balls, whole, limited, strict=True):
        np.testing.assert_array_equal(tree.distances_mm, other.distances_mm)
        far = tree.distances_mm > 2.5 + 1e-6
        assert not far.all()
        assert np.isinf(ball.distances_mm[far]).all()
        np.testing.assert_allclose(ball.distances_mm[~far], tree.distances_mm[~far], atol=1e-12)
        np.testing.assert_array_equal(ball.surface.classes, tree.surface.classes)
    of_balls = nsd(reference, prediction, classes, spacing, (0.5, 1, 2.5), surface)
    monkeypatch.undo()
    np.testing.assert_array_equal(nsd(reference, prediction, classes, spacing, (0.5, 1, 2.5), surface), of_balls)


@BOTH
def test_room_for_places_grows(monkeypatch, surface):
    reference = blobs(0, (8, 9, 10), 4)
    prediction = disturbed(reference, 3)
    expected = nsd(reference, prediction, 4, surface=surface)
    monkeypatch.setattr(module, "FIRST_GUESS", 1)
    np.testing.assert_array_equal(nsd(reference, prediction, 4, surface=surface), expected)


# --- properties ------------------------------------------------------------------------------------------------------


@given(label_maps, label_maps, spacings, kinds)
def test_nsd_is_symmetric_and_grows_with_the_tolerance(reference, prediction, spacing, surface):
    tolerances = (0, 0.5, 1, 2, 4, 40)
    ours = nsd(reference, prediction, 4, spacing, tolerances, surface)
    np.testing.assert_allclose(nsd(prediction, reference, 4, spacing, tolerances, surface), ours, rtol=1e-12)
    assert np.all((np.diff(ours, axis=0) >= 0) | np.isnan(ours[1:]))
    in_neither = [not (reference == label).any() and not (prediction == label).any() for label in (1, 2, 3)]
    np.testing.assert_array_equal(np.isnan(ours), [in_neither] * len(tolerances))
    in_both = [(reference == label).any() and (prediction == label).any() for label in (1, 2, 3)]
    np.testing.assert_allclose(ours[-1, in_both], 1, rtol=1e-12)


@given(label_maps, label_maps, spacings, kinds, st.sampled_from([0.25, 0.1, 3.0, 10.0]))
def test_only_the_ratio_of_tolerance_and_spacing_matters(reference, prediction, spacing, surface, factor):
    tolerances = np.array([0.83, 1.23, 2.11])
    scaled = tuple(factor * s for s in spacing)
    np.testing.assert_allclose(
        nsd(reference, prediction, 4, scaled, tuple(factor * tolerances), surface),
        nsd(reference, prediction, 4, spacing, tuple(tolerances), surface),
        rtol=1e-12,
    )
    for metric in (lambda p: hausdorff95_from_distances(p, 4, "voxel"), lambda p: assd_from_distances(p, 4)):
        bare, larger = (metric(surface_distances(reference, prediction, s)) for s in (spacing, scaled))
        np.testing.assert_allclose(larger, factor * bare, rtol=1e-9)


@given(label_maps, label_maps, spacings, kinds, st.permutations([1, 2, 3]))
def test_permuted_labels_permute_the_results(reference, prediction, spacing, surface, order):
    table = np.array([0, *order], np.uint8)
    ours = nsd(reference, prediction, 4, spacing, (1, 2), surface)
    permuted = nsd(table[reference], table[prediction], 4, spacing, (1, 2), surface)
    np.testing.assert_allclose(permuted[:, np.array(order) - 1], ours, rtol=1e-12)


@given(label_maps, label_maps, spacings, kinds, st.sampled_from([(0,), (1,), (2,), (0, 2), (0, 1, 2)]))
def test_flipped_axes_change_nothing(reference, prediction, spacing, surface, axes):
    ours = nsd(reference, prediction, 4, spacing, (1, 2), surface)
    flipped = nsd(np.flip(reference, axes), np.flip(prediction, axes), 4, spacing, (1, 2), surface)
    np.testing.assert_allclose(flipped, ours, rtol=1e-12)


@given(label_maps, label_maps, spacings, kinds, st.permutations([0, 1, 2]))
def test_swapped_axes_change_nothing(reference, prediction, spacing, surface, axes):
    ours = nsd(reference, prediction, 4, spacing, (1, 2), surface)
    swapped = nsd(reference.transpose(axes), prediction.transpose(axes), 4, [spacing[a] for a in axes], (1, 2), surface)
    np.testing.assert_allclose(swapped, ours, rtol=1e-12)


# --- kinds of arrays and bad input -----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("kind", ["i1", "<u2", ">u2", ">i8", "u8"])
def test_any_integers_in_any_layout(kind, surface):
    reference = blobs(5, (7, 8, 9), 4)
    prediction = disturbed(reference, 5)
    expected = nsd(reference, prediction, 4, surface=surface)
    other = np.asfortranarray(prediction.astype(kind))
    other.flags.writeable = False
    np.testing.assert_array_equal(nsd(reference.astype(kind)[::-1][::-1], other, 4, surface=surface), expected)
    pair = surface_distances(reference.astype(kind), other, (1, 1, 1), surface, 1.0)
    np.testing.assert_array_equal(module.nsd_from_distances(pair, 4, (1,)), expected)


def test_booleans_are_a_class():
    mask = np.zeros((4, 4, 4), bool)
    mask[1:3, 1:3, 1:3] = True
    assert nsd(mask, mask).item() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tolerances": ()}, r"tolerances are \[\]; expected at least one, none negative"),
        ({"tolerances": (1, -1)}, r"tolerances are \[1, -1\]; expected at least one, none negative"),
        ({"tolerances": (math.nan,)}, r"tolerances are \[nan\]"),
        ({"surface": "mesh"}, "surface is 'mesh'; expected one of voxel, surfel"),
        ({"spacing": (1, 1)}, r"spacing is \(1, 1\); expected three positive numbers"),
        ({"spacing": (1, 0, 1)}, r"spacing is \(1, 0, 1\); expected three positive numbers"),
        ({"prediction": np.zeros((2, 2, 3), int)}, r"shapes are \(2, 2, 2\) and \(2, 2, 3\); expected the same"),
        ({"prediction": np.full((2, 2, 2), 2)}, "prediction has labels from 2 to 2; expected 0 to 1"),
        ({"reference": np.full((2, 2, 2), -1)}, "reference has labels from -1 to -1; expected 0 to 1"),
    ],
)
def test_bad_input_is_named(arguments, message):
    good = {"reference": np.zeros((2, 2, 2), int), "prediction": np.zeros((2, 2, 2), int)}
    with pytest.raises(ValueError, match=message):
        nsd(**(good | arguments))


def test_labels_that_no_map_holds_are_refused_and_not_wrapped():
    large = np.full((2, 2, 2), 65537)
    with pytest.raises(ValueError, match="label map has labels from 65537 to 65537; expected 0 to 65535"):
        surface_distances(large, large, (1, 1, 1))
    with pytest.raises(TypeError, match="reference has voxels of type float64; expected integers"):
        nsd(np.zeros((2, 2, 2)), np.zeros((2, 2, 2)))

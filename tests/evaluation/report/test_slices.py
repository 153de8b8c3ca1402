import io

import numpy as np
import pytest
from PIL import Image

from impulse_nnunet.evaluation.report.slices import PLANES, draw_planes, slice_content, telling_slices
from impulse_nnunet.evaluation.report.volumes import CaseVolumes
from impulse_nnunet.outputs.colours import INTRUSION, from_hex, label_style
from tests.evaluation.report import folders

STYLE = label_style({int(label): name for label, name in folders.NAMES.items()}, folders.LOBES)


def volumes_of(prediction=None, tree=None, image=None, reference=None):
    reference = folders.reference_labels() if reference is None else reference
    trees = {} if tree is None else {"airway": tree > 0}
    own = {} if tree is None else {"airway": np.where(tree > 0, reference, 0)}
    predictions = {"ours": folders.predicted_labels() if prediction is None else prediction}
    return CaseVolumes(
        spacing_mm=folders.SPACING_MM,
        origin_mm=folders.ORIGIN_MM,
        reference=reference,
        predictions=predictions,
        trees=trees,
        own=own,
        image=image,
        notes=[],
    )


def pixels_of(picture):
    with Image.open(io.BytesIO(picture.png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def is_near(pixels, colour, distance=40):
    return np.abs(pixels - 255 * np.array(colour)).sum(-1) < distance


def test_planes_are_seen_as_radiologists_do():
    corner = np.zeros((3, 4, 5), np.uint8)
    corner[2, 0, 0] = 1  # towards head, front and right of the patient
    axial, coronal, sagittal = PLANES
    for plane, index, letters in ((axial, 2, "RLAP"), (coronal, 0, "RLSI"), (sagittal, 0, "APSI")):
        slab = corner[tuple(slice(index, index + 1) if axis == plane.axis else slice(None) for axis in range(3))]
        seen = plane.seen(slab)
        assert seen[0, 0] == 1
        assert seen.sum() == 1
        assert plane.letters == tuple(letters)
    assert coronal.seen(corner[:, :1]).shape == (3, 5)


def test_slices_go_through_most_intruding_voxels():
    """The rod is at y = 12, 13 and x = 8, 9; it intrudes at z = 10 and 11 alike."""
    tree = folders.tree_mask()
    tree[10, 12, 8] = 0  # three voxels are left at z = 10: z = 11 has most; y = 13 and x = 9 have more than 12 and 8
    assert telling_slices(volumes_of(tree=tree)) == [11, 13, 9]


def test_without_trees_through_most_wrong_voxels():
    prediction = folders.reference_labels()
    prediction[7, 8:10, 5], prediction[9, 9, 20:23] = 0, 0
    # z = 7 has 2, z = 9 has 3; y = 8 has 1, y = 9 has 4; x = 5 has 2, the others 1
    assert telling_slices(volumes_of(prediction)) == [9, 9, 5]


def test_a_perfect_prediction_through_most_labelled_voxels():
    reference = np.zeros(folders.SHAPE, np.uint8)
    reference[3:5, 4, 6], reference[4, 4, 7] = 1, 1
    assert telling_slices(volumes_of(reference.copy(), reference=reference)) == [4, 4, 6]


def test_empty_maps_show_the_middle():
    empty = np.zeros(folders.SHAPE, np.uint8)
    assert telling_slices(volumes_of(empty, reference=empty)) == [12, 14, 16]


def test_all_methods_count():
    volumes = volumes_of()
    second = folders.reference_labels()
    second[15, 6:22, 4:28] = 0  # z = 15 loses 16 x 20 voxels; z = 10 and 11 have 16 x 10 in the first method
    volumes.predictions["theirs"] = second
    assert telling_slices(volumes)[0] == 15


def test_what_a_slice_holds():
    volumes = volumes_of(tree=folders.tree_mask())
    content = slice_content(volumes, PLANES[1], 13, "ours")
    np.testing.assert_array_equal(content.reference, folders.reference_labels()[::-1, 13])
    np.testing.assert_array_equal(content.prediction, folders.predicted_labels()[::-1, 13])
    np.testing.assert_array_equal(content.tree, folders.tree_mask()[::-1, 13] > 0)
    assert content.intruding.sum() == 2 * 2
    assert content.spacing_mm == (3.0, 2.0)


@pytest.mark.parametrize(("plane", "millimetres"), [("axial", (64, 42)), ("coronal", (64, 72)), ("sagittal", (42, 72))])
def test_pictures_keep_true_proportions(plane, millimetres):
    """The volume has 24 x 3, 28 x 1.5 and 32 x 2 mm."""
    picture = draw_planes(volumes_of(), STYLE, "c0")[plane]["ours"]
    assert picture.width / picture.height == pytest.approx(millimetres[0] / millimetres[1], rel=0.01)
    assert max(picture.width, picture.height) <= 641


def test_intrusions_are_red_where_they_are():
    volumes = volumes_of(tree=folders.tree_mask())
    picture = draw_planes(volumes, STYLE, "c0")["coronal"]["ours"]
    rows, columns = np.nonzero(is_near(pixels_of(picture), from_hex(INTRUSION)))
    # x = 8 and 9 of 32 and, from the head, z = 23 - 11 and 23 - 10 of 24
    assert columns.mean() / picture.width == pytest.approx(9 / 32, abs=0.01)
    assert rows.mean() / picture.height == pytest.approx(13 / 24, abs=0.01)
    assert "4 intruding" in picture.caption


def test_without_intrusions_nothing_is_red():
    picture = draw_planes(volumes_of(folders.reference_labels(), folders.tree_mask()), STYLE, "c0")["coronal"]["ours"]
    assert not is_near(pixels_of(picture), from_hex(INTRUSION)).any()
    assert "0 wrong voxels, 0 intruding" in picture.caption


def test_outlines_have_the_label_s_colour():
    pixels = pixels_of(draw_planes(volumes_of(), STYLE, "c0")["coronal"]["ours"])
    for label in STYLE.names:
        assert is_near(pixels, STYLE.outline(label, False)).sum() > 100


def test_an_image_lies_behind():
    image = np.full(folders.SHAPE, 50.0, np.float32)
    image[:, :, 16:] = 100.0
    volumes = volumes_of(image=image)
    pixels = pixels_of(draw_planes(volumes, STYLE, "c0")["axial"]["ours"])
    assert pixels[2, 2].sum() < 40  # nothing is labelled there
    assert pixels[2, -3].sum() > 3 * 240


def test_captions_and_words():
    picture = draw_planes(volumes_of(), STYLE, "c0")["axial"]["ours"]
    # 16 x 10 wrong voxels at z = 10; 10 mm + 10 x 3 mm
    assert picture.caption == "axial, z = 40.0 mm: 160 wrong voxels"
    assert picture.alt.startswith("c0, ours: outlines of reference and predicted labels")


def test_one_voxel_and_unnamed_labels_can_be_drawn():
    one = np.full((1, 1, 1), 300, np.uint16)
    volumes = CaseVolumes(
        spacing_mm=(1, 1, 1),
        origin_mm=(0, 0, 0),
        reference=one,
        predictions={"ours": one},
        trees={},
        own={},
        image=None,
        notes=[],
    )
    assert all(pictures["ours"].png for pictures in draw_planes(volumes, STYLE, "c0").values())

import numpy as np
import pytest
from scipy import ndimage

from impulse_nnunet.phantom.properties import (
    border_contrasts,
    lobe_shares,
    lung_box_map,
    measure_case,
    number_of_pieces,
    segments_in_pieces,
    share_in_own_segment,
    share_near_border,
    template_dice,
)


def halves(shape=(6, 6, 10), first=1, second=2):
    segments = np.full(shape, first, np.uint8)
    segments[:, :, shape[2] // 2 :] = second
    return segments


def test_share_in_own_segment():
    classes = np.zeros((6, 6, 10), np.uint8)
    classes[3, 3, 1:9] = 1  # four voxels in segment 1, four in segment 2
    assert share_in_own_segment(classes, halves()) == 0.5
    assert share_in_own_segment(np.zeros_like(classes), halves()) is None


@pytest.mark.parametrize(
    ("spacing", "tolerance", "expected"),
    [
        # the border lies between columns 4 and 5; voxel centres are 0.5, 1.5, ... voxels from it
        ((1.0, 1.0, 1.0), 2.0, 4),
        ((1.0, 1.0, 1.0), 2.5, 6),
        ((1.0, 1.0, 4.0), 2.0, 2),
        ((1.0, 1.0, 4.0), 1.9, 0),
    ],
)
def test_share_near_border(spacing, tolerance, expected):
    mask = np.zeros((6, 6, 10), np.uint8)
    mask[3, 3] = 1
    assert share_near_border(mask, halves(), spacing, tolerance) == expected / 10


def test_the_lungs_surface_is_no_border_and_corners_count():
    segments = np.zeros((3, 8, 8), np.uint8)
    segments[:, 2:6, 2:6] = 1
    mask = np.ones_like(segments)
    assert share_near_border(mask, segments, (1, 1, 1), 3.0) == 0
    segments[1, 2, 2] = 2
    one = np.zeros_like(segments)
    one[1, 3, 3] = 1  # diagonal to the odd voxel: the nearest face's edge is sqrt(0.5) = 0.707 mm away
    assert share_near_border(one, segments, (1, 1, 1), 0.70) == 0
    assert share_near_border(one, segments, (1, 1, 1), 0.71) == 1


def test_pieces_are_scipys():
    mask = (np.random.default_rng(0).random((8, 9, 10)) < 0.12).astype(np.uint8)
    assert number_of_pieces(mask) == ndimage.label(mask, np.ones((3, 3, 3)))[1]
    assert number_of_pieces(np.zeros_like(mask)) == 0


def test_segments_in_pieces():
    segments = halves()
    assert segments_in_pieces(segments) == 0
    segments[0, 0, 9] = 1
    assert segments_in_pieces(segments) == 1


def test_lobe_shares():
    segments = np.array([1, 3, 5, 10, 11, 11, 18, 18, 18, 18, 0, 0], np.uint8).reshape(1, 1, -1)
    assert lobe_shares(segments) == [20.0, 10.0, 10.0, 20.0, 40.0]


def test_border_contrasts():
    # segments 1, 2 (one lobe) and 4 (another): a step of 20 HU at the voxels along 1|2, of 50 HU along 2|4
    segments = np.zeros((30, 30, 60), np.uint8)
    segments[1:-1, 1:-1, 1:20], segments[1:-1, 1:-1, 20:40], segments[1:-1, 1:-1, 40:-1] = 1, 2, 4
    image = np.full(segments.shape, -850, np.int16) + np.arange(30, dtype=np.int16)[:, None]  # gravity does not count
    image[:, :, 19:21] += 20
    image[:, :, 39:41] += 50
    tree = np.zeros_like(segments)
    assert border_contrasts(image, segments, tree, (1, 1, 1)) == (20.0, 50.0)
    image[15, 15, 19] = 3000
    tree[15, 15, 19] = 1
    assert border_contrasts(image, segments, tree, (1, 1, 1)) == (20.0, 50.0)
    assert border_contrasts(image, halves((30, 30, 60)), np.ones_like(tree), (1, 1, 1)) == (None, None)


def test_the_lungs_box_is_cut_out():
    segments = np.zeros((20, 20, 20), np.uint8)
    segments[4:8, 5:9, 6:10] = np.arange(1, 5)[:, None, None]
    small = lung_box_map(segments, 8)
    assert small[:, 0, 0].tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert lung_box_map(segments, 20, whole=True).tolist() == segments.tolist()


def test_template_dice():
    segments = halves((4, 4, 4))
    assert template_dice([segments, segments, np.zeros_like(segments)], [segments]) == 100.0
    # the held-out case is all segment 1: 2 * 32 / (64 + 32); segment 2 is not in it and does not count
    assert template_dice([segments], [np.ones_like(segments)]) == pytest.approx(200 / 3)


def test_a_case_without_trees_has_nothing_to_measure():
    segments = halves()
    empty = dict.fromkeys(("airway", "artery", "vein", "interseg", "airway_labels", "artery_labels"), segments * 0)
    found = measure_case(None, {"segments": segments, **empty}, (1, 1, 1))
    assert found["airway_in_own_segment"] is None
    assert found["interseg_near_border"] is None
    assert found["airway_pieces"] == 0
    assert "fissure_hu" not in found

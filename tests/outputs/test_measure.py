import numpy as np
import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.outputs.cases import read_segments
from impulse_nnunet.outputs.measure import measure
from impulse_nnunet.outputs.names import LabelNames
from tests.outputs.shapes import DIRECTIONS, FLIPPED, OBLIQUE, ball, grid_of, save, turn, two_boxes

SPACING_MM, ORIGIN = (0.7, 0.8, 2.5), (-20, 30, 400)
NAMES = LabelNames(
    names={1: "right S1", 4: "right S2", 6: "right S3"},
    lobes={"right upper lobe": (1, 4, 6)},
    lungs={"right lung": (1, 4, 6)},
)


def segments_of(tmp_path, labels, grid, names=NAMES, wanted=None):
    return read_segments(save(tmp_path / "labels.mha", labels, grid), names, wanted)


def by_name(rows):
    return {row.group.name: row for row in rows}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_boxes(tmp_path, direction):
    labels = two_boxes()
    rows = by_name(measure(segments_of(tmp_path, labels, grid_of(labels.shape, SPACING_MM, direction, ORIGIN))))
    assert list(rows) == ["right S1", "right S2", "right S3", "right upper lobe", "right lung"]
    # 2 and 3 slices of 25 voxels of 1.4 mm3
    assert [row.voxels for row in rows.values()] == [50, 75, 0, 125, 125]
    assert rows["right S1"].volume_ml == pytest.approx(50 * 1.4e-3)
    assert rows["right lung"].volume_ml == pytest.approx(125 * 1.4e-3)
    assert rows["right S2"].share_of_lobe == pytest.approx(0.6)
    assert (rows["right S3"].voxels, rows["right S3"].surface_mm2, rows["right S3"].mean_hu) == (0, 0, None)
    assert rows["right lung"].share_of_lobe is None
    assert rows["right upper lobe"].group.missing == (6,)
    # the world's box around a turned box: the sums of the sides' shadows on an axis
    expected = np.abs(direction) @ (np.array([5, 5, 5]) * SPACING_MM)
    np.testing.assert_allclose(rows["right lung"].extent_mm, expected, rtol=1e-9)


@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (0.7, 0.7, 2.5), (0.7, 0.7, 1.25)])
@pytest.mark.parametrize("radius_mm", [10, 18])
def test_areas_of_balls(tmp_path, radius_mm, spacing_mm):
    labels = ball(radius_mm, spacing_mm)
    grid = grid_of(labels.shape, spacing_mm, OBLIQUE @ FLIPPED)
    (row,) = measure(segments_of(tmp_path, labels, grid, LabelNames()))
    assert row.surface_mm2 == pytest.approx(4 * np.pi * radius_mm**2, rel=0.035)
    assert row.volume_ml == pytest.approx(4 / 3 * np.pi * radius_mm**3 * 1e-3, rel=0.02)


@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (0.7, 0.7, 2.5)])
@pytest.mark.parametrize("degrees", [0, 10, 45])
def test_areas_of_boxes_that_lie_askew_in_their_grid(tmp_path, degrees, spacing_mm):
    sides = np.array([20.01, 15.01, 25.01])
    axes = [np.arange(-20, 20, step) for step in spacing_mm]
    places = np.stack(np.meshgrid(*axes[::-1], indexing="ij")[::-1], axis=-1)
    labels = (np.abs(places @ turn(degrees, (1, 2, 3))) < sides / 2).all(axis=-1).astype(np.uint8)
    (row,) = measure(segments_of(tmp_path, labels, grid_of(labels.shape, spacing_mm), LabelNames()))
    area = 2 * (sides[0] * sides[1] + sides[1] * sides[2] + sides[0] * sides[2])
    assert row.surface_mm2 == pytest.approx(area, rel=0.06)


def test_a_lobe_has_no_area_inside(tmp_path):
    labels = np.zeros((14, 24, 24), np.uint8)
    labels[2:12, 2:22, 2:12], labels[2:12, 2:22, 12:22] = 1, 4  # halves of 10 x 20 x 10 mm
    grid = grid_of(labels.shape)
    rows = by_name(measure(segments_of(tmp_path, labels, grid)))
    assert rows["right upper lobe"].surface_mm2 == pytest.approx(2 * (10 * 20 + 10 * 20 + 20 * 20), rel=0.05)
    assert rows["right S1"].surface_mm2 == pytest.approx(2 * (10 * 20 + 10 * 10 + 20 * 10), rel=0.06)
    whole = by_name(measure(segments_of(tmp_path, (labels > 0).astype(np.uint8), grid, LabelNames())))
    assert rows["right upper lobe"].surface_mm2 == pytest.approx(whole["label 1"].surface_mm2, rel=0.01)


def test_hu_and_trees(tmp_path):
    labels = two_boxes()
    grid = grid_of(labels.shape, SPACING_MM, OBLIQUE, ORIGIN)
    values = np.full(labels.shape, 40, np.int16)
    values[labels == 1] = -800
    values[1, 2:7, 1:6] = -960  # half of label 1
    values[3, 2, 1] = -950  # not below
    tree = np.zeros_like(labels)
    tree[2:4, 4, 3] = 7  # one voxel of either label
    ct, airway = save(tmp_path / "ct.mha", values, grid), save(tmp_path / "airway.mha", tree, grid)
    rows = by_name(measure(segments_of(tmp_path, labels, grid), ct, {"airway": airway}))
    assert rows["right S1"].mean_hu == pytest.approx(-880)
    assert rows["right S1"].emphysema_share == pytest.approx(0.5)
    assert rows["right S2"].mean_hu == pytest.approx((74 * 40 - 950) / 75)
    assert rows["right S2"].emphysema_share == 0
    assert rows["right lung"].emphysema_share == pytest.approx(25 / 125)
    assert rows["right S1"].trees_ml == {"airway": pytest.approx(1.4e-3)}
    assert rows["right lung"].trees_ml == {"airway": pytest.approx(2.8e-3)}


def test_a_choice_keeps_shares_and_leaves_parts_of_lobes_out(tmp_path):
    labels = two_boxes()
    rows = measure(segments_of(tmp_path, labels, grid_of(labels.shape, SPACING_MM), wanted=(4,)))
    assert [row.group.name for row in rows] == ["right S2"]
    assert rows[0].share_of_lobe == pytest.approx(0.6)


def test_bad_cts_are_named(tmp_path):
    labels = two_boxes()
    segments = segments_of(tmp_path, labels, grid_of(labels.shape))
    stored = save(tmp_path / "stored.mha", np.full(labels.shape, 200, np.int16), grid_of(labels.shape))
    with pytest.raises(InputError, match=r"stored.mha: found values from 200 to 200, expected HU"):
        measure(segments, stored)
    elsewhere = save(tmp_path / "off.mha", np.full(labels.shape, -9, np.int16), grid_of(labels.shape, origin=(5, 0, 0)))
    with pytest.raises(InputError, match=r"off.mha: found origin"):
        measure(segments, elsewhere)


def test_bad_label_maps_are_named(tmp_path):
    labels = two_boxes()
    grid = grid_of(labels.shape)
    with pytest.raises(InputError, match="found no labelled voxel, expected at least one"):
        segments_of(tmp_path, np.zeros_like(labels), grid)
    with pytest.raises(InputError, match="found no label 3, expected one of 1, 4; correct `labels`"):
        segments_of(tmp_path, labels, grid, wanted=(1, 3))
    with pytest.raises(InputError, match="found no label 6"):
        segments_of(tmp_path, labels, grid, wanted=(6,))
    assert segments_of(tmp_path, labels, grid, wanted=(1, 6)).absent == (6,)

"""Figures for a paper: what stands where in the pictures."""

import matplotlib.image
import numpy as np
import pytest

from impulse_nnunet.evaluation.figures import Panels, curve_figure, far_errors, panel_figure, write_figure
from impulse_nnunet.evaluation.report.volumes import CaseVolumes
from impulse_nnunet.outputs.colours import INTRUSION, from_hex, label_style


def volumes():
    """Two blocks side by side; the prediction has a part of the second wrong."""
    reference = np.zeros((12, 14, 16), np.uint8)
    reference[2:10, 3:11, 2:8] = 1
    reference[2:10, 3:11, 8:14] = 2
    wrong = reference.copy()
    wrong[2:6, 3:11, 10:14] = 1
    return CaseVolumes(
        spacing_mm=(1.0, 1.0, 1.0),
        origin_mm=(0.0, 0.0, 0.0),
        reference=reference,
        predictions={"A": reference.copy(), "B": wrong},
        trees={},
        own={},
        image=None,
        notes=[],
    )


STYLE = label_style({1: "left", 2: "right"}, {})


def red_of(image):
    return np.isclose(image, from_hex(INTRUSION), atol=0.02).all(-1)


def panel_images(figure):
    return [axes.get_images()[0].get_array() for axes in figure.axes if axes.get_images()]


def test_wrong_voxels_are_red_in_their_panel_alone():
    figure = panel_figure(volumes(), STYLE, Panels(("coronal",), errors=True))
    right, wrong, truth = panel_images(figure)
    assert [axes.get_title() for axes in figure.axes] == ["A", "B", "ground truth"]
    assert not red_of(right).any()
    assert not red_of(truth).any()
    # 4 x 4 voxels are wrong; coronal pictures run from head (last z) to foot: rows 12 - 6 .. 12 - 2
    rows, columns = np.nonzero(red_of(wrong))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 9, 10, 13)
    assert len(rows) == 16


def test_headings_tell_the_dice():
    texts = [axes.texts[0].get_text() for axes in panel_figure(volumes(), STYLE, Panels(("axial",))).axes]
    # 128 of the 384 voxels of label 2 are called 1: Dice 2 * 384 / (384 + 512) and 2 * 256 / (384 + 256), mean 82.9 %
    assert texts == ["Dice 100.0 %", "Dice 82.9 %", ""]


def test_three_dimensional_panels_have_the_proportions_of_the_body(tmp_path):
    figure = panel_figure(volumes(), STYLE, Panels(views=("front",), errors=True))
    right, wrong, truth = panel_images(figure)
    assert right.shape == truth.shape == (675, 900, 3)  # 12 high, 16 wide; 900 pixels on the longer side
    reddish = (wrong[..., 0] > 2 * wrong[..., 1] + 40) & (wrong[..., 0] > 2 * wrong[..., 2] + 40)
    assert reddish.mean() > 0.02
    png, svg = write_figure(figure, tmp_path, "figure")
    assert matplotlib.image.imread(png).std() > 0.05
    assert svg.read_text().startswith("<?xml")


def test_curves_show_fractions_in_percent():
    figure = curve_figure([0.0, 0.5], {"Dice": [(0.8, 0.7, 0.9), (0.7, 0.6, 0.8)], "NIB": [(4, 3, 5), (2, 1, 3)]})
    dice, intrusions = (axes.get_lines()[0].get_ydata() for axes in figure.axes)
    assert list(dice) == pytest.approx([80, 70])
    assert list(intrusions) == pytest.approx([4, 2])


def test_errors_of_one_voxel_at_a_border_are_not_far():
    reference = np.zeros((5, 5, 12), np.uint8)
    reference[..., 2:6], reference[..., 6:10] = 1, 2
    shifted = np.roll(reference, 1, 2)
    assert not far_errors(shifted, reference).any()
    # shifted by two, label 1 lies at 4 to 7 in place of 2 to 5, and label 2 at 8 to 11 in place of 6 to 9: places 7 and
    # 11 are two beyond the reference's, and its places 2 and 6 are two before the shifted ones
    far = far_errors(np.roll(reference, 2, 2), reference)
    assert sorted({int(place) for place in np.nonzero(far)[2]}) == [2, 6, 7, 11]

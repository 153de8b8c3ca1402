import numpy as np
import pytest

from impulse_nnunet.laterality.labels import SidedLabels, left_of_right_mm, sided_labels
from impulse_nnunet.lungs.anatomy import lobe_lists, segment_labels

LPS = np.array([[0.0, 0, 2, 0], [0, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1]])  # (d, h, w) is z, y, x; 2 mm


def test_the_18_segments_have_sides():
    sides = sided_labels(segment_labels())
    assert sides == SidedLabels(tuple(range(1, 11)), tuple(range(11, 19)))
    assert sided_labels({name: number for number, name in enumerate(lobe_lists(), 1)}) == SidedLabels((1, 2, 3), (4, 5))


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "kidney_right": 1, "kidney_left": 2, "liver": 3},
        {"background": 0, "RUL": 1, "LLL": 2},
        {"background": 0, "R1": 1, "L10": 2},
        {"background": 0, "Right-Hippocampus": 1, "Left-Hippocampus": 2},
    ],
)
def test_ways_to_name_a_side(labels):
    assert sided_labels(labels) == SidedLabels((1,), (2,))


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "Anterior": 1, "Posterior": 2},
        {"background": 0, "right lung": 1},  # one side alone
        {"background": 0, "bright": 1, "cleft": 2},
        {"background": 0, "left and right lung": 1, "heart": 2},
        {"background": 0, "bronchus": 1, "artery": 2, "vein": 3},
    ],
)
def test_labels_without_sides(labels):
    assert sided_labels(labels) is None


def test_how_far_left_lies_from_right():
    labels = np.zeros((4, 4, 10), int)
    labels[1:3, 1:3, 1:3] = 1  # centre 1.5
    labels[0:2, 1:3, 6:9] = 2  # centre 7
    sides = SidedLabels((1,), (2,))
    assert left_of_right_mm(labels, sides, LPS) == pytest.approx(11.0)  # 5.5 voxels of 2 mm
    mirrored = LPS @ np.diag([1.0, 1, -1, 1])
    assert left_of_right_mm(labels, sides, mirrored) == pytest.approx(-11.0)
    assert left_of_right_mm(labels, SidedLabels((1,), (3,)), LPS) is None

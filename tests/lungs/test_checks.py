import logging

import numpy as np
import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.lungs.anatomy import LOBES
from impulse_nnunet.lungs.checks import check_lobes, check_not_empty, lobe_overlap
from tests.lungs import made_up


def masks_of(lobes):
    return {name: lobes == number for number, name in enumerate(LOBES, 1)}


def test_overlap_of_each_lobe():
    lobes = made_up.lobes()
    lobes[1, 1, 1] = 0  # one voxel of segment 1 in no lobe
    lobes[1, 1, 4] = 1  # one voxel of segment 4 in the right upper lobe
    # a column of segments has 4 x 6 voxels: lobes of 3, 2, 5, 4 and 4 segments have 72, 48, 120, 96 and 96
    expected = np.diag([72 - 1, 48 - 1, 120, 96, 96])
    expected = np.concatenate([[[1], [0], [0], [0], [0]], expected], axis=1)
    expected[1, 1] = 1
    assert lobe_overlap(made_up.segments(), masks_of(lobes)).tolist() == expected.tolist()


def test_ground_truth_may_differ_by_five_per_cent():
    # 432 segment voxels: 21 of them are 4.9 %, 22 are 5.1 %
    for wrong, passes in ((21, True), (22, False)):
        lobes = made_up.lobes()
        places = np.flatnonzero(lobes == 3)[:wrong]
        lobes.reshape(-1)[places] = 0
        if passes:
            check_lobes("a", made_up.segments(), masks_of(lobes), truth=True)
        else:
            with pytest.raises(InputError, match=r"a: found 5\.1 % of the segments' voxels outside their lobe"):
                check_lobes("a", made_up.segments(), masks_of(lobes), truth=True)


def test_swapped_lobes_are_named(caplog):
    lobes = np.array([0, 4, 2, 3, 1, 5])[made_up.lobes()]  # upper lobes of both sides swapped: 168 of 432 voxels
    message = r"38\.9 % .* \(what is called LUL lies in RUL, what is called RUL lies in LUL\), expected at most 5 %"
    with pytest.raises(InputError, match=message):
        check_lobes("a", made_up.segments(), masks_of(lobes), truth=True)
    check_lobes("a", made_up.segments(), masks_of(lobes), truth=False)  # below the limit of other sources
    sides = np.array([0, 4, 5, 5, 1, 3])[made_up.lobes()]  # all in the wrong place
    with pytest.raises(InputError, match=r"found 100\.0 % .*expected at most 50 %"):
        check_lobes("a", made_up.segments(), masks_of(sides), truth=False)
    with caplog.at_level(logging.WARNING):
        check_lobes("a", made_up.segments(), masks_of(sides), truth=False, predicted=True)
    assert "a: 100.0 % of the segments' voxels outside their lobe" in caplog.text


def test_empty_masks(caplog):
    full, empty = np.ones((2, 2, 2), bool), np.zeros((2, 2, 2), bool)
    check_not_empty("a", {"artery": full, "vein": full}, strict=True, predicted=False)
    with pytest.raises(InputError, match="a: found no voxel of vein, expected a mask with content"):
        check_not_empty("a", {"artery": full, "vein": empty}, strict=True, predicted=False)
    with pytest.raises(InputError, match="a: found no voxel of artery or vein"):
        check_not_empty("a", {"artery": empty, "vein": empty}, strict=False, predicted=False)
    with caplog.at_level(logging.WARNING):
        check_not_empty("a", {"artery": full, "vein": empty}, strict=False, predicted=False)
        check_not_empty("b", {"artery": empty, "vein": empty}, strict=False, predicted=True)
    assert "a: nothing is labelled as vein" in caplog.text
    assert "b: nothing is labelled as artery, vein" in caplog.text

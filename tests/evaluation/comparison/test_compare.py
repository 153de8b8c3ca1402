import math

import numpy as np
import pytest
from scipy import stats

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.comparison.compare import compare
from impulse_nnunet.evaluation.comparison.methods import read_methods
from impulse_nnunet.evaluation.comparison.tables import markdown
from impulse_nnunet.evaluation.statistics import Resampling
from tests.evaluation.summary_files import SETTINGS, compared, write, write_two


@pytest.fixture
def two(tmp_path):
    return write_two(tmp_path)


def test_by_hand(two):
    comparison = compared(two / "old", two / "new")
    assert comparison.metrics == ("Dice", "NIB", "IDB_mm")
    assert (comparison.reference, comparison.n_common) == ("old", {"new": 3})
    dice = comparison.row("new", "Dice")
    assert (dice.n_cases, dice.n_nan, dice.n_runs, dice.n_pairs) == (3, 0, 1, 3)
    assert (dice.mean, dice.difference) == (pytest.approx(2.2 / 3), pytest.approx(0.2))
    # differences 0.1 0.2 0.3: t = 2 sqrt 3 with 2 degrees of freedom; 2 of 8 signs are as far
    assert dice.p_t == pytest.approx(1 - math.sqrt(12 / 14))
    assert dice.p_permutation == pytest.approx(2 / 8)
    assert math.isnan(dice.sd_runs)
    distance = comparison.row("new", "IDB_mm")
    assert (distance.n_nan, distance.n_pairs, distance.mean, distance.difference) == (1, 2, 3, 1)
    assert math.isnan(comparison.row("old", "Dice").difference)


def test_holm_runs_over_the_metrics_of_a_pair(two):
    comparison = compared(two / "old", two / "new")
    dice, number, distance = (comparison.row("new", metric) for metric in comparison.metrics)
    # permutation: 2/8, 2/8 (all differences -1) and 2/4; times 3, 2 (no smaller), 1
    assert [row.p_permutation for row in (dice, number, distance)] == [0.25, 0.25, 0.5]
    assert [row.p_permutation_holm for row in (dice, number, distance)] == [0.75, 0.75, 0.75]
    # t-test: NIB differs by the same everywhere and has none, so two are corrected
    assert math.isnan(number.p_t_holm)
    assert dice.p_t_holm == pytest.approx(2 * dice.p_t)


def test_the_whole_against_scipy(tmp_path):
    old, new = np.random.default_rng(0).uniform(0.5, 1, (2, 30))
    write(tmp_path / "old", {"Dice": old.tolist()})
    write(tmp_path / "new", {"Dice": new.tolist()})
    row = compared(tmp_path / "old", tmp_path / "new").row("new", "Dice")
    assert row.p_t == pytest.approx(stats.ttest_rel(new, old).pvalue)
    assert row.ci_low < new.mean() < row.ci_high
    assert row.difference_ci_low < (new - old).mean() < row.difference_ci_high


def test_another_reference_turns_the_sign(two):
    comparison = compared(two / "old", two / "new", reference="new")
    assert comparison.row("old", "Dice").difference == pytest.approx(-0.2)
    with pytest.raises(InputError, match="`reference`: found no, expected one of old, new"):
        compared(two / "old", two / "new", reference="no")


def test_runs_are_averaged_per_case(tmp_path):
    write(tmp_path / "a", {"Dice": [0.5, 0.5], "IDB_mm": [2.0, 1.0]})
    write(tmp_path / "b1", {"Dice": [0.6, 0.8], "IDB_mm": [None, 1.0]})
    write(tmp_path / "b2", {"Dice": [0.8, 1.0], "IDB_mm": [4.0, 3.0]})
    comparison = compared(tmp_path / "a", f"b={tmp_path / 'b1'},{tmp_path / 'b2'}")
    row = comparison.row("b", "Dice")
    # cases 0.7 and 0.9; runs 0.7 and 0.9, whose deviation is 0.2 / sqrt 2
    assert (row.n_runs, row.n_cases, row.n_pairs) == (2, 2, 2)
    assert (row.mean, row.sd_runs) == (pytest.approx(0.8), pytest.approx(0.2 / math.sqrt(2)))
    assert row.difference == pytest.approx(0.3)
    # the first case has its number from the second run alone: (4 + 2) / 2
    assert comparison.row("b", "IDB_mm").mean == 3


def test_pairs_are_the_common_cases_whatever_their_order(tmp_path):
    write(tmp_path / "a", {"Dice": {"x": 0.1, "y": 0.5, "z": 0.2}}, failures={"w": "broken"})
    write(tmp_path / "b", {"Dice": {"z": 0.3, "w": 0.9, "y": 0.8}})
    comparison = compared(tmp_path / "a", tmp_path / "b")
    row = comparison.row("b", "Dice")
    # y: 0.3, z: 0.1
    assert (row.n_pairs, row.n_cases, row.difference) == (2, 3, pytest.approx(0.2))
    assert row.mean == pytest.approx(2 / 3)
    assert any("different cases (a 3, b 3; 2 in all of them)" in note and "w, x." in note for note in comparison.notes)
    assert "a: 1 case could not be evaluated: w." in comparison.notes


def test_no_common_case(tmp_path):
    write(tmp_path / "a", {"Dice": {"x": 0.1}})
    write(tmp_path / "b", {"Dice": {"z": 0.3}})
    with pytest.raises(InputError, match=r"b and a: found no common case \(e.g. z and x\), expected the same cases"):
        compared(tmp_path / "a", tmp_path / "b")


def test_one_common_case_gives_no_p_value(tmp_path):
    write(tmp_path / "a", {"Dice": [0.5]})
    write(tmp_path / "b", {"Dice": [0.75]})
    comparison = compared(tmp_path / "a", tmp_path / "b")
    row = comparison.row("b", "Dice")
    assert (row.n_pairs, row.difference) == (1, 0.25)
    assert math.isnan(row.p_t_holm)
    line = markdown(comparison).splitlines()[-3]
    assert [cell.strip() for cell in line.strip("|").split("|")][1:] == ["1", "+25.00", "n/a", "n/a", "n/a", "n/a"]


def test_the_same_numbers_give_one(two):
    row = compared(f"a={two / 'old'}", f"b={two / 'old'}").row("b", "Dice")
    assert (row.difference, row.p_t_holm, row.p_permutation_holm) == (0, 1, 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"connectivity": 6}, "setting connectivity: found 6, expected 26 as in"),
        ({"tolerances_mm": [2.0]}, r"setting tolerances_mm: found \[2.0\], expected \[1.0, 2.0\] as in"),
        ({"label_names": {"3": "right S3"}}, "setting label_names.3: found right S3, expected not set as in"),
    ],
)
def test_other_settings_are_refused_unless_allowed(tmp_path, changed, message):
    write(tmp_path / "a", {"Dice": [0.5, 0.6]})
    write(tmp_path / "b", {"Dice": [0.5, 0.6]}, SETTINGS | changed)
    with pytest.raises(InputError, match=message) as error:
        compared(tmp_path / "a", tmp_path / "b")
    assert "`allow_different_settings`" in str(error.value)
    notes = compared(tmp_path / "a", tmp_path / "b", allow=True).notes
    assert any("differs: " in note for note in notes)


def test_folders_versions_and_more_metrics_may_differ(tmp_path):
    write(tmp_path / "a", {"Dice": [0.5, 0.6]}, SETTINGS | {"trees": {"airway": "/one"}, "hd95": False})
    write(tmp_path / "b", {"Dice": [0.5, 0.6]}, SETTINGS | {"trees": {"airway": "/two"}, "version": "2", "hd95": True})
    notes = compared(tmp_path / "a", tmp_path / "b").notes
    assert notes[:2] == ("version differs: 1 and 2.", "trees.airway is not the same file or folder for all.")
    assert len(notes) == 3  # and how few cases these are


def test_unknown_settings_are_told(tmp_path):
    write(tmp_path / "a", {"Dice": [0.5, 0.6]})
    write(tmp_path / "b", {"Dice": [0.5, 0.6]}, settings=None)
    assert compared(tmp_path / "a", tmp_path / "b").notes[0].startswith("No settings stand in the summary of b;")


def test_another_reference_segmentation_is_refused_unless_allowed(tmp_path):
    write(tmp_path / "a", {"Dice": [0.5, 0.6]}, n_ref={"c1": 10})
    write(tmp_path / "b", {"Dice": [0.5, 0.6]}, n_ref={"c1": 80})
    expected = (
        "reference label 1 of case c1: found 80 voxels, expected 10 as in .*; evaluate against the same reference"
    )
    with pytest.raises(InputError, match=expected):
        compared(tmp_path / "a", tmp_path / "b")
    notes = compared(tmp_path / "a", tmp_path / "b", allow=True).notes
    assert "The references differ (e.g. reference label 1 of case c1: 10 and 80 voxels)." in notes


def test_what_few_cases_and_few_flips_cannot_do_is_told(two):
    comparison = compared(two / "old", two / "new")
    assert "With so few cases (3) bootstrap intervals are somewhat too narrow." in comparison.notes
    few = compare(read_methods([str(two / "old"), str(two / "new")]), resampling=Resampling(permutations=99))
    # 2 / 100 times 3 metrics
    assert any("99 random sign flips cannot give less than p = 0.060" in note for note in few.notes)


def test_metrics_that_are_shown(tmp_path):
    numbers = {"Dice": [0.5, 0.6], "total_IDB_mm": [1, 2], "NSD_1mm": [None, None], "NIB": [1, 1], "Dice_lobes": [1, 1]}
    write(tmp_path / "a", numbers | {"HD95_mm": [3, 4]})
    write(tmp_path / "b", numbers)
    folders = tmp_path / "a", tmp_path / "b"
    # a metric of one method or without any number is not for comparing; total_ID only if it is asked for
    assert compared(*folders).metrics == ("Dice", "NIB", "Dice_lobes")
    assert "Also in the summaries, shown with `metrics` all: total_IDB_mm." in compared(*folders).notes
    assert compared(*folders, metrics=["all"]).metrics == ("Dice", "total_IDB_mm", "NIB", "Dice_lobes")
    alone = compared(*folders, metrics=["HD95_mm"])
    assert math.isnan(alone.row("b", "HD95_mm").mean)
    assert "n/a" in markdown(alone)
    expected = "`metrics`: found dice, expected all or some of Dice, total_IDB_mm, NIB, Dice_lobes, HD95_mm"
    with pytest.raises(InputError, match=expected):
        compared(*folders, metrics=["dice"])


def test_no_metric_in_common(tmp_path):
    write(tmp_path / "a", {"Dice": [0.5]})
    write(tmp_path / "b", {"NIB": [1]})
    with pytest.raises(InputError, match="found no metric with numbers in two methods"):
        compared(tmp_path / "a", tmp_path / "b")

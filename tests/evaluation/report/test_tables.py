import math

import numpy as np
import pytest
from scipy import stats

from impulse_nnunet.evaluation.report import tables
from impulse_nnunet.evaluation.report.metrics import of_case, of_mean
from impulse_nnunet.evaluation.report.summaries import read_evaluations
from impulse_nnunet.outputs.colours import label_style
from tests.evaluation.report.folders import case_entry, write_method, write_summary


def row(table, start):
    return next(row for row in table.rows if row[0].text.startswith(start))


@pytest.fixture
def two_methods(tmp_path):
    """Dice 0.5, 0.9, 0.7 and 0.8, none, 0.6."""
    return read_evaluations(
        [str(write_method(tmp_path, "ours")), str(write_method(tmp_path, "theirs", (0.8, None, 0.6)))]
    )


def test_means_with_intervals_and_numbers_that_are_missing(two_methods):
    table = tables.paper_table(two_methods)
    assert [cell.text for cell in table.head[0]] == ["metric", "ours", "theirs"]
    assert [cell.below for cell in table.head[0][1:]] == ["3 cases", "3 cases"]
    dice = row(table, "Dice (%) ↑")
    # means by hand: (0.5 + 0.9 + 0.7) / 3 and (0.8 + 0.6) / 2
    assert [cell.text for cell in dice[1:]] == ["70.00", "70.00"]
    expected = stats.bootstrap(
        (np.array([0.5, 0.9, 0.7]),), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(0)
    ).confidence_interval
    low, high = (float(text) for text in dice[1].below.split(" to "))
    assert (low, high) == pytest.approx((100 * expected.low, 100 * expected.high), abs=0.006)
    assert dice[2].below.endswith("1 NaN")


def test_an_interval_of_equal_numbers_is_that_number(two_methods):
    assert row(tables.paper_table(two_methods), "NIB ↓")[1].below == "1.00 to 1.00"


def test_the_best_mean_is_bold_and_lower_intrusions_are_better(tmp_path):
    folders = []
    for name, dice, intrusions in (("a", 0.9, 4.0), ("b", 0.8, 2.0)):
        entry = case_entry(tmp_path / name, "c0", dice, NIB=intrusions)
        folders.append(str(write_summary(tmp_path / name, [entry])))
    table = tables.paper_table(read_evaluations(folders))
    assert [cell.strong for cell in row(table, "Dice (%)")[1:]] == [True, False]
    assert [cell.strong for cell in row(table, "NIB")[1:]] == [False, True]


def test_one_method_has_no_best(tmp_path):
    table = tables.paper_table(read_evaluations([str(write_method(tmp_path))]))
    assert not any(cell.strong for row in table.rows for cell in row)
    assert "Bold" not in table.note


def test_labels_with_names_colours_and_cases(two_methods):
    style = label_style(two_methods[0].label_names, two_methods[0].lobes)
    table = tables.label_table(two_methods, style)
    assert [cell.text for cell in table.head[0]] == ["label", "Dice (%) ↑", "NSD 1 mm (%) ↑", "NSD 2 mm (%) ↑", "cases"]
    assert [cell.columns for cell in table.head[0]] == [1, 2, 2, 2, 1]
    first = table.rows[0]
    assert (first[0].text, first[0].swatch[0], first[1].text, first[2].text) == ("1 right S1", "#", "70.00", "70.00")
    assert first[-1].text == "3, 2"  # the second method has one case without a Dice
    assert len({row[0].swatch for row in table.rows}) == 4


def test_cases_from_the_worst_dice_of_the_first_method(two_methods):
    assert tables.cases_by_dice(two_methods) == ["c0", "c2", "c1"]
    assert tables.cases_by_dice(two_methods[::-1]) == ["c2", "c0", "c1"]  # c1 has no Dice there
    table = tables.case_table(two_methods)
    assert [row[0].text for row in table.rows] == ["c0", "c2", "c1"]
    assert [cell.text for cell in table.rows[2][1:3]] == ["90.00", "n/a"]
    assert [cell.text for cell in row(table, "c0")[5:7]] == ["1", "1"]  # NIB, a count


def test_a_case_that_one_method_lacks(tmp_path):
    methods = read_evaluations([str(write_method(tmp_path, "a", (0.5, 0.6))), str(write_method(tmp_path, "b", (0.5,)))])
    assert [cell.text for cell in row(tables.case_table(methods), "c1")[1:3]] == ["60.00", "n/a"]


def test_trees(two_methods):
    table = tables.tree_table(two_methods)
    assert [row[0].text for row in table.rows] == ["airway: ours", "airway: theirs"]
    # NI 1, ID and total 6 mm, 75 % in the own segment, background 14 of 56 voxels, Dice 0.9, 3 outside, 3 cases
    assert [cell.text for cell in table.rows[0][1:]] == ["1.00", "6.00", "6.00", "75.00", "25.00", "90.00", "3", "3"]


def test_intersegmental_veins_have_no_intrusions(tmp_path):
    methods = read_evaluations([str(write_method(tmp_path, trees=("interseg",)))])
    cells = [cell.text for cell in tables.tree_table(methods).rows[0]]
    assert cells == ["interseg", "n/a", "n/a", "n/a", "n/a", "n/a", "90.00", "3", "3"]
    assert tables.intrusions_by_label(methods, label_style(methods[0].label_names, {})) is None


def test_no_trees_no_table(tmp_path):
    methods = read_evaluations([str(write_method(tmp_path, trees=()))])
    assert tables.tree_table(methods) is None
    assert tables.intrusions_by_label(methods, label_style(methods[0].label_names, {})) is None


def test_intrusions_of_each_label(two_methods):
    table = tables.intrusions_by_label(two_methods, label_style(two_methods[0].label_names, {}))
    assert [row[1].text for row in table.rows] == ["0.00", "1.00", "0.00", "0.00"]


def test_numbers_as_text():
    assert of_mean("NIB", 4.0) == "4.00"
    assert of_case("NIB", 4.0) == "4"
    assert of_case("IDB_mm", 4.0) == "4.00"
    assert of_case("Dice", math.nan) == "n/a"

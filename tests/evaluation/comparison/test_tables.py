import csv
import json
import math
from io import StringIO

import numpy as np
import pytest

from impulse_nnunet.evaluation.comparison.tables import as_json, csv_text, latex, markdown, write_comparison
from impulse_nnunet.evaluation.metric_names import beside_their_numbers, direction, label, shown, shown_p
from tests.evaluation.summary_files import compared, write, write_two


@pytest.fixture
def two(tmp_path):
    return write_two(tmp_path)


def test_an_intrusion_distance_comes_with_its_number():
    available = ["Dice", "NIB", "IDB_mm", "IDA_mm", "NIA"]
    assert beside_their_numbers(["IDB_mm"], available) == ["NIB", "IDB_mm"]
    mixed = ["IDB_mm", "Dice", "NIA", "NIB", "IDA_mm"]
    assert beside_their_numbers(mixed, available) == ["NIB", "IDB_mm", "Dice", "NIA", "IDA_mm"]
    assert beside_their_numbers(["IDV_mm"], available) == ["IDV_mm"]


@pytest.mark.parametrize(
    ("metric", "expected", "way"),
    [
        ("Dice", "Dice (%) ↑", 1),
        ("NSD_1mm", "NSD 1 mm (%) ↑", 1),
        ("NSD_0.5mm", "NSD 0.5 mm (%) ↑", 1),
        ("Dice_lobes", "Dice lobes (%) ↑", 1),
        ("share_airway", "share airway (%) ↑", 1),
        ("NIB", "NIB ↓", -1),
        ("IDB_mm", "IDB (mm) ↓", -1),
        ("total_IDA_mm", "total IDA (mm) ↓", -1),
        ("HD95_mm", "HD95 (mm) ↓", -1),
        ("ASSD_mm", "ASSD (mm) ↓", -1),
        ("other", "other", 0),
    ],
)
def test_names(metric, expected, way):
    assert (label(metric), direction(metric)) == (expected, way)


def test_numbers():
    assert shown("Dice", 0.86064) == "86.06"
    assert shown("NIB", 24.205) in ("24.20", "24.21")
    assert shown("Dice", 0.0092, sign=True) == "+0.92"
    assert [shown("IDB_mm", value, sign=True) for value in (-0.001, 0.001, 0)] == ["0.00"] * 3
    assert shown("IDB_mm", math.nan) == "n/a"
    assert [shown_p(p) for p in (0.0004, 0.0126, 1, math.nan)] == ["<0.001", "0.013", "1.000", "n/a"]


def lines_of(text, start):
    return [line for line in text.splitlines() if line.startswith(start)]


def test_markdown(two):
    text = markdown(compared(two / "old", two / "new"))
    heads = [cell.strip() for cell in lines_of(text, "| Metric")[0].strip("|").split("|")]
    assert heads == ["Metric", "old (reference)", "new"]
    means, tests = lines_of(text, "| Dice (%) ↑")
    assert "53.33 [50.00, 60.00]" in means
    assert "**73.33** [60.00, 80.00]" in means
    # 2 metrics have a t-test, 3 a permutation test: 2 * 0.0742, 3 * 0.25
    cells = [cell.strip() for cell in tests.strip("|").split("|")]
    assert cells[1:3] == ["3", "+20.00 [+10.00, +30.00]"]
    assert cells[3:] == ["0.074", "0.148", "0.250", "0.750"]
    # the larger mean of ID is not the better one, and each says how many cases it is of
    distance = lines_of(text, "| IDB (mm) ↓")[0]
    assert "**2.00** [1.00, 3.00] (n = 3)" in distance
    assert " 3.00 [1.50, 4.50] (n = 2)" in distance
    assert "## new minus old (3 common cases)" in text
    widths = {len(line) for line in text.split("\n\n")[1].splitlines()}
    assert len(widths) == 1


def test_equal_means_are_both_bold_and_a_lone_one_is_not(tmp_path):
    write(tmp_path / "a", {"Dice": [0.5, 0.7], "NIB": [1, 2]})
    write(tmp_path / "b", {"Dice": [0.6, 0.60001]})
    text = markdown(compared(tmp_path / "a", tmp_path / "b", metrics=["Dice", "NIB"]))
    assert lines_of(text, "| Dice")[0].count("**60.00**") == 2
    assert "**" not in lines_of(text, "| NIB")[0]
    assert len(lines_of(text, "| NIB")) == 1  # nothing to test


def test_a_difference_that_both_tests_see_is_marked(tmp_path):
    values = np.random.default_rng(0).uniform(0.5, 0.6, 30)
    write(tmp_path / "a", {"Dice": values.tolist()})
    write(tmp_path / "b", {"Dice": (values + np.linspace(0.1, 0.2, 30)).tolist()})
    comparison = compared(tmp_path / "a", tmp_path / "b")
    assert "**†" in lines_of(markdown(comparison), "| Dice")[0]
    assert r"$^{\dagger}$ \\" in latex(comparison)


def test_latex(two):
    methods = [f"a_b & c--d={two / 'old'}", f"ours={two / 'new'},{two / 'new'}"]
    text = latex(compared(*methods))
    assert r"Metric & a\_b \& c-{}-d & ours \\" in text
    assert r"Dice (\%) $\uparrow$ & 53.33 & \textbf{73.33} {\scriptsize $\pm$ 0.00} \\" in text
    assert r" & {\scriptsize [50.00, 60.00]} & {\scriptsize [60.00, 80.00]} \\" in text
    assert r" & {\scriptsize n = 3} & {\scriptsize n = 2} \\" in text
    assert r"NIB $\downarrow$ & 3 & $-$1.00 & [$-$1.00, $-$1.00] & n/a & n/a & 0.250 & 0.750 \\" in text
    assert text.isascii()
    assert text.count("{") == text.count("}")
    # as many cells as columns in every line
    for table in text.split(r"\begin{table}")[1:]:
        columns = table.split(r"\begin{tabular}{@{}")[1].split("@{}}")[0]
        lines = [line for line in table.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
        assert {line.replace(r"\&", "").count("&") for line in lines} == {len(columns) - 1}


def test_csv_is_tidy_and_exact(two):
    rows = list(csv.DictReader(StringIO(csv_text(compared(two / "old", two / "new")))))
    assert [(row["method"], row["metric"]) for row in rows[2:4]] == [("old", "IDB_mm"), ("new", "Dice")]
    assert list(rows[0]) == [
        "method",
        "metric",
        "n_cases",
        "n_nan",
        "n_runs",
        "mean",
        "sd_runs",
        "ci_low",
        "ci_high",
        "n_pairs",
        "difference",
        "difference_ci_low",
        "difference_ci_high",
        "p_t",
        "p_t_holm",
        "p_permutation",
        "p_permutation_holm",
    ]
    assert float(rows[3]["mean"]) == pytest.approx(2.2 / 3, abs=1e-15)
    assert (rows[0]["p_t"], rows[3]["sd_runs"]) == ("", "")


def test_json_has_the_settings_and_null(two):
    content = as_json(compared(two / "old", two / "new"))
    text = json.dumps(content, allow_nan=False)
    assert json.loads(text)["rows"][0]["p_t"] is None
    assert content["settings"]["bootstrap"] == 200
    assert content["n_common_cases"] == {"new": 3}


def test_files(two):
    paths = write_comparison(compared(two / "old", two / "new"), two / "out")
    names = ["comparison.csv", "comparison.json", "comparison.md", "comparison.tex"]
    assert sorted(path.name for path in paths) == sorted(path.name for path in (two / "out").iterdir()) == names
    assert (two / "out" / "comparison.md").read_text(encoding="utf-8").startswith("# Comparison\n")


def test_signs_that_mean_something_in_markdown_are_escaped(two):
    text = markdown(compared(f"a|b={two / 'old'}", two / "new"))
    assert r"a\|b (reference)" in lines_of(text, "| Metric")[0]

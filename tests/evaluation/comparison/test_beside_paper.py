"""The table beside the paper's figures, with answers worked out by hand."""

import csv
import io

import pytest

from impulse_nnunet.evaluation.comparison.beside_paper import (
    Cost,
    StudyTable,
    SystemRow,
    csv_text,
    latex,
    markdown,
    order_lines,
    paper_metrics,
    write_study_table,
)
from impulse_nnunet.evaluation.comparison.compare import compare
from impulse_nnunet.evaluation.comparison.methods import Method, read_summary
from impulse_nnunet.evaluation.paper import Figure
from tests.evaluation.summary_files import FEW, write

METRICS = {"Dice": "Dice", "NIB": "NIB"}


@pytest.fixture
def table(tmp_path):
    """A beats B here, in Dice and in intrusions; the paper has B before A in Dice; C failed."""
    runs = [
        write(tmp_path / "a0", {"Dice": [0.80, 0.84], "NIB": [1, 2]}),
        write(tmp_path / "a1", {"Dice": [0.82, 0.86], "NIB": [1, 2]}),
        write(tmp_path / "b0", {"Dice": [0.70, 0.72], "NIB": [4, 3]}),
    ]
    a0, a1, b0 = (read_summary(run) for run in runs)
    comparison = compare([Method("A & co", (a0, a1)), Method("B", (b0,))], "A & co", ["Dice", "NIB"], FEW)
    rows = (
        SystemRow(
            name="A & co",
            paper={"Dice": Figure(85.31, 0.05)},
            cost=Cost(
                parameters=2_500_000,
                steps=400,
                training_seconds=90.0,
                prediction_seconds=1.25,
                training_memory_gb=3.5,
                prediction_memory_gb=1.0,
            ),
        ),
        SystemRow(name="B", paper={"Dice": Figure(86.06)}, cost=Cost()),
        SystemRow(name="C", paper={"Dice": Figure(60.28)}, cost=Cost(), failures=("C, seed 0: no memory",)),
    )
    return StudyTable(title="Table 0", rows=rows, comparison=comparison, metrics=METRICS, notes=("Made up.",))


def cells_of(text, name):
    line = next(line for line in text.splitlines() if line.startswith(f"| {name}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_markdown_has_means_paper_and_cost(table):
    text = markdown(table)
    # case means over the seeds: 0.81 and 0.85; mean 0.83. Seeds' means 0.82 and 0.84: sd = sqrt(2) / 100 = 1.41 points
    assert cells_of(text, "A & co") == [
        "A & co",
        "2",
        "**83.00 ± 1.41**",
        "85.31 ± 0.05",
        "**1.50 ± 0.00**",
        "2.50",
        "400",
        "1.5",
        "1.2",
        "3.5 / 1.0",
    ]
    assert cells_of(text, "B") == ["B", "1", "71.00", "86.06", "3.50", "-", "-", "-", "-", "- / -"]
    assert cells_of(text, "C")[:5] == ["C", "0", "failed", "60.28", "failed"]
    assert cells_of(text, "System")[2:5] == ["Dice (%) ↑", "paper", "NIB ↓"]  # the paper has no NIB here: no column
    assert "- Failed: C, seed 0: no memory" in text
    assert text.rstrip().endswith("- Made up.")


def test_the_order_is_put_beside_the_papers(table):
    # C has no number: of A and B the paper has B first, here A leads; one pair, and it is the other way round
    assert order_lines(table, "Dice") == [
        "Order by Dice (%) ↑, best first: A & co, B. Paper: B, A & co. 1 of 1 pairs the other way round: B / A & co."
    ]
    assert order_lines(table, "NIB") == []  # the paper has no figures


def test_csv_holds_fractions_paper_and_cost(table):
    rows = list(csv.DictReader(io.StringIO(csv_text(table))))
    assert [(row["system"], row["metric"]) for row in rows] == [
        (name, metric) for name in ("A & co", "B", "C") for metric in ("Dice", "NIB")
    ]
    first = rows[0]
    assert float(first["mean"]) == pytest.approx(0.83)
    assert (first["paper"], first["paper_sd"], first["n_runs"], first["parameters"]) == (
        "85.31",
        "0.05",
        "2",
        "2500000",
    )
    # B minus A on the two cases: 0.70 - 0.81 and 0.72 - 0.85, mean -0.12
    assert float(rows[2]["difference"]) == pytest.approx(-0.12)
    assert float(rows[2]["n_pairs"]) == 2
    assert rows[4]["mean"] == rows[5]["paper"] == ""


def test_latex_escapes_and_marks_the_best(table):
    text = latex(table)
    assert r"A \& co & 2 & \textbf{83.00 $\pm$ 1.41} & 85.31 $\pm$ 0.05" in text
    assert text.count(r"\\") == 4  # heading and three rows
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.replace(r"\&", "").count("&") for line in body} == {9}


def test_a_table_without_any_number_can_be_written(tmp_path):
    empty = StudyTable(
        title="Table 0",
        rows=(SystemRow(name="A", paper={}, cost=Cost(), failures=("A, seed 0: why",)),),
        comparison=None,
        metrics={},
        notes=(),
    )
    paths = write_study_table(empty, tmp_path, "table_0")
    assert [path.name for path in paths] == ["table_0.md", "table_0.csv", "table_0.tex"]
    assert "Failed: A, seed 0: why" in paths[0].read_text()


def test_metrics_of_the_paper_are_found_among_those_of_a_summary():
    available = ["Dice", "NSD_1mm", "NSD_2mm", "NIB", "IDB_mm", "NIV"]
    assert paper_metrics(available, "NSD_2mm") == {"Dice": "Dice", "NSD": "NSD_2mm", "NIB": "NIB", "IDB": "IDB_mm"}

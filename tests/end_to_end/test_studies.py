"""A table by the printed command, killed once, and a figure from it; every training is real, of two steps."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Workplace

pytestmark = pytest.mark.slow
ROWS = ("no_displacement_loss", "plus", "template")


@pytest.fixture(scope="module")
def study(planned, tmp_path_factory):
    """The command without its last flags, and a workplace with a results folder of its own."""
    base = tmp_path_factory.mktemp("study")
    workplace = Workplace(planned.base, planned.environment | {"nnUNet_results": str(base / "results")})
    (base / "results").mkdir()
    command = (
        "impulse_nnunet",
        "table",
        "-d",
        "990",
        "--table",
        "2",
        "--rows",
        *ROWS,
        "--seeds",
        "1",
        "--budget",
        "2",
        "-device",
        "cpu",
        "-np",
        "1",
        "-o",
        str(base / "out"),
    )
    yield workplace, command, base
    path = planned.preprocessed / "ImPulSePlans.json"  # the other tests get the plans as they were
    plans = json.loads(path.read_text())
    plans["configurations"] = {"3d_impulse": plans["configurations"]["3d_impulse"]}
    path.write_text(json.dumps(plans))


def killed_after(line, workplace, command):
    """Start the command and kill it, without a chance to clean up, once it has printed a line."""
    with subprocess.Popen(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        env=workplace.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        seen = []
        for text in process.stdout:
            seen.append(text)
            if line in text:
                break
        process.kill()
    assert line in seen[-1], seen
    time.sleep(3)  # the command's own child notices within a second, and saves


def test_a_table_goes_on_after_a_kill_and_keeps_what_was_done(study):
    workplace, command, base = study
    planned = workplace.run(*command, "--dry_run").stdout
    assert "T D C PT, seed 0: train; 3d_impulse_no_displacement_loss_2steps_seed0" in planned
    assert list((base / "results").iterdir()) == []
    killed_after("T D C PT, seed 0: trained", workplace, command)
    (model,) = (base / "results").glob("*/*no_displacement_loss*")
    checkpoint = model / "fold_0/checkpoint_final.pth"
    trained_at = checkpoint.stat().st_mtime_ns
    finished = workplace.run(*command).stdout
    assert checkpoint.stat().st_mtime_ns == trained_at
    assert "T D C PT, seed 0: trained" not in finished
    assert "[2/3] T D C LD PT (ImPulSe+), seed 0: trained" in finished
    assert "[3/3] template alone, seed 0: Dice" in finished
    folder = base / "out/table_2"
    lines = (folder / "table_2.csv").read_text().splitlines()
    rows = {row["system"]: row for row in csv.DictReader(lines) if row["metric"] == "Dice"}
    full = rows["T D C LD PT (ImPulSe+)"]
    assert (full["steps"], full["paper"], full["n_cases"]) == ("2.0", "86.0", "3")
    assert float(full["parameters"]) > 1000
    assert float(full["training_memory_gb"]) > 0.1
    assert 0 < float(rows["template alone"]["mean"]) < 1
    assert "± " not in (folder / "table_2.md").read_text().splitlines()[4]
    assert (folder / "comparison.md").is_file()
    assert workplace.run(*command, "--dry_run").stdout.count(": done;") == 3


def test_one_failed_run_does_not_stop_the_others(study):
    workplace, command, base = study
    (model,) = (base / "results").glob("*/*no_displacement_loss*")
    (model / "fold_0/checkpoint_final.pth").write_bytes(b"no checkpoint")
    (model / "study_fold_0/summary.json").unlink()
    finished = workplace.run(*command, expect=2)
    assert "1 of 3 runs failed; the table has the others" in finished.stdout
    assert "T D C PT, seed 0: predict ended with exit code" in finished.stdout
    table = (base / "out/table_2/table_2.md").read_text()
    assert "failed" in next(line for line in table.splitlines() if line.startswith("| T D C PT"))
    assert "Failed: T D C PT, seed 0: predict ended" in table


def test_a_training_of_someone_else_is_refused_and_overwrite_sets_it_aside(study):
    workplace, command, base = study
    (model,) = (base / "results").glob("*/*no_displacement_loss*")
    (model / "study_fold_0/record_train.json").unlink()
    refused = workplace.run(*command, expect=2)
    assert "fold_0: found a training that this command did not make, expected none" in refused.stderr
    workplace.run(*command, "--overwrite")
    assert list((model / "study_fold_0/superseded").glob("*/fold_0/checkpoint_final.pth"))


def test_a_figure_is_drawn_from_the_table(study):
    workplace, _, base = study
    command = ("impulse_nnunet", "figure", "6", "-d", "990", "--study", str(base / "out"), "-o", str(base / "figures"))
    png, svg = workplace.run(*command).stdout.split()
    assert Path(png).stat().st_size > 50_000
    assert Path(svg).stat().st_size > 50_000
    refused = workplace.run("impulse_nnunet", "figure", "10", *command[3:], expect=2)
    assert "no table fig10, expected what figure 10 is drawn from" in refused.stderr


def test_stock_nnunet_trains_under_the_same_budget(study):
    workplace, command, base = study
    stock = [part for part in command if part not in ROWS]
    stock[stock.index("--rows") + 1 : stock.index("--rows") + 1] = ["nnunet"]
    stock[stock.index("2")] = "1"
    finished = workplace.run(*stock).stdout
    assert "nnU-Net, sliding window, seed 0: trained in" in finished
    assert ", 2 steps" in finished
    assert (base / "out/table_1/table_1.md").is_file()
    assert list(
        (base / "results").glob("*/nnUNetTrainerBudget__nnUNetPlans__3d_fullres_2steps_seed0/fold_0/progress.png")
    )

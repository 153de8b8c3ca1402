"""A disk that is full, played by the kernel's limit on file sizes: one line, exit code 2, nothing half-written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.workplace import MODEL

pytestmark = pytest.mark.slow

LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing past the limit then fails as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.argv = sys.argv[2:]
from {module} import {function}
sys.exit({function}())
"""


def run_limited(workplace, limit, module, function, *arguments):
    script = LIMITED.format(module=module, function=function)
    return subprocess.run(
        [sys.executable, "-c", script, str(limit), *arguments],
        env=workplace.environment,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )


def test_prediction(trained, tmp_path):
    output = tmp_path / "out"
    finished = run_limited(
        trained,
        100,
        "impulse_nnunet.cli.main",
        "main",
        "impulse_nnunet",
        "predict",
        *MODEL,
        "-i",
        str(trained.raw / "imagesTs"),
        "-o",
        str(output),
        "-device",
        "cpu",
    )
    assert finished.returncode == 2, finished.stderr
    assert "Traceback" not in finished.stderr
    assert not list(output.rglob("*.nii.gz"))


def test_preprocessing_keeps_what_was_there_and_goes_on(planned):
    folder = planned.preprocessed / "ImPulSePlans_3d_impulse"
    files = [*planned.preprocessed.glob("*.json"), *folder.iterdir()]
    before = {path: path.read_bytes() for path in files}
    finished = run_limited(
        planned,
        5000,
        "impulse_nnunet.cli.main",
        "main",
        "impulse_nnunet",
        "plan_and_preprocess",
        "-d",
        "990",
        "--no_pbar",
        "-overwrite_plans_name",
        "ImPulSePlans",
        "-np",
        "1",
    )
    assert finished.returncode == 2, finished.stderr
    assert "Traceback" not in finished.stderr
    assert {path: path.read_bytes() for path in files} == before
    assert sorted(folder.iterdir()) == sorted(path for path in files if path.parent == folder)
    assert not list(Path(f"{folder}.incomplete").glob("*.pkl"))  # no case counts as done


def test_checkpoint(planned, tmp_path):
    planned.environment["nnUNet_results"] = str(tmp_path)
    try:
        finished = run_limited(
            planned,
            200_000,
            "nnunetv2.run.run_training",
            "run_training_entry",
            "nnUNetv2_train",
            "990",
            "3d_impulse",
            "1",
            "-tr",
            "nnUNetTrainerImPulSe",
            "-p",
            "ImPulSePlans",
            "-device",
            "cpu",
        )
    finally:
        planned.environment["nnUNet_results"] = str(planned.base / "nnUNet_results")
    assert finished.returncode == 2, finished.stderr
    assert "found a write error" in finished.stderr
    assert "expected room for the checkpoint" in finished.stderr
    assert not list(tmp_path.rglob("*.pth"))

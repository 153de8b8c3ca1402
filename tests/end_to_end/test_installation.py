"""A regular (not editable) installation holds every part, and stock nnU-Net finds the trainer in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow

LOOK = """
import impulse_nnunet, impulse_nnunet.trainers, impulse_nnunet.planners, impulse_nnunet.evaluation
from impulse_nnunet.runtime.environment import ensure_variables, trainer_folder
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
ensure_variables()
print(impulse_nnunet.__file__, trainer_folder(), impulse_nnunet.trainers.__file__, sep="\\n")
print(recursive_find_trainer_class_by_name("nnUNetTrainerImPulSe").__module__)
try:
    import trainers
except ImportError:
    print("no top-level trainers")
"""


def test_regular_installation(tmp_path):
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    target = tmp_path / "site"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "--target",
            str(target),
            str(source),
        ],
        check=True,
        capture_output=True,
        timeout=300,
    )
    environment = os.environ | {"PYTHONPATH": str(target), "PYTHONWARNINGS": "ignore"}
    finished = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    assert lines[0] == str(target / "impulse_nnunet/__init__.py")
    assert lines[1] == str(target / "impulse_nnunet/external_trainers")
    assert lines[2] == str(target / "impulse_nnunet/trainers/__init__.py")
    assert lines[-2:] == ["impulse_nnunet.trainers.impulse", "no top-level trainers"]
    assert (target / "impulse_nnunet/py.typed").is_file()
    assert (target / "impulse_nnunet/outputs/page/viewer.html").is_file()

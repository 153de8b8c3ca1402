"""The GPU run, rehearsed on the CPU in small sizes: every check ends and finds what it is to find."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKS = ("systems", "repeat", "labels", "encode", "decode", "case", "train", "stock_case", "plan", "hippocampus")
TOGETHER = """
import json, sys
from pathlib import Path
import torch
from benchmarks.gpu.__main__ import CHECKS
from benchmarks.gpu.context import Context
if __name__ == "__main__":
    context = Context(device=torch.device("cpu"), tiny=True, work=Path(sys.argv[1]), data=None, minutes=0.02)
    found = {name: CHECKS[name](context) for name in sys.argv[2:]}
    Path(sys.argv[1], "found.json").write_text(json.dumps(found))
"""


@pytest.mark.slow
def test_every_check_of_a_gpu_run_ends(tmp_path):
    script = tmp_path / "together.py"  # one process: what takes longest is to import PyTorch and nnU-Net
    script.write_text(TOGETHER)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "nnUNet_def_n_proc": "1"}
    command = [sys.executable, str(script), str(tmp_path), *CHECKS]
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-3000:]
    found = json.loads((tmp_path / "found.json").read_text())
    assert "error" not in json.dumps(found)
    for system in found["systems"].values():
        assert system["finite"]
        assert system["loss"] == pytest.approx(system["loss_cpu"], abs=0.02)
    assert found["repeat"]["equal"]
    assert found["labels"]["float32"]["differ"] < 0.01 * found["labels"]["voxels"]
    assert found["case"]["file_to_file"]["seconds"] > found["case"]["decode"]["seconds"]
    assert found["train"]["ours"]["seconds"] > 0
    assert found["train"]["stock"]["seconds"] > 0
    assert found["stock_case"]["file_to_file"]["seconds"] > 0
    assert found["hippocampus"]["finite"]
    assert found["hippocampus"]["dice"] > 0.3


def test_the_script_runs_a_check_and_keeps_what_it_found(tmp_path):
    command = ["bash", str(ROOT / "tools/gpu_run.sh"), "speed", "--only", "machine", "--device", "cpu", "--tiny"]
    folders = ["--work", str(tmp_path / "work"), "--output", str(tmp_path / "output")]
    environment = os.environ | {"PYTHON": sys.executable}
    finished = subprocess.run([*command, *folders], env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert json.loads((tmp_path / "output/speed.json").read_text())["machine"]["device"] == "cpu"


def test_a_check_that_takes_too_long_is_ended_and_named(tmp_path):
    from benchmarks.gpu.__main__ import main

    arguments = ["speed", "--only", "machine", "--device", "cpu", "--tiny", "--limit", "0.01"]
    assert main([*arguments, "--work", str(tmp_path / "work"), "--output", str(tmp_path / "output")]) == 1
    assert json.loads((tmp_path / "output/speed.json").read_text())["machine"]["error"] == "not done within 0.01 s"

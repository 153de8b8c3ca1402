"""Real trainings that are killed at moments that no one chose, and go on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow
COMMAND = ("990", "3d_impulse", "0", "-tr", "nnUNetTrainerImPulSe", "-p", "ImPulSePlans", "-device", "cpu")
LONGEST = 120  # seconds that a whole training of the tiny data set may take on a busy machine
GRACE = 30  # seconds from SIGTERM to the end, as schedulers give


def start(workplace, results, *extra):
    executable = Path(sys.executable).parent / "nnUNetv2_train"
    return subprocess.Popen(
        [str(executable), *COMMAND, *extra], env=workplace.environment | {"nnUNet_results": str(results)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_training_that_is_killed_again_and_again_ends_with_the_same_weights(trained, tmp_path):
    rng, log = random.Random(1), []
    fold = tmp_path / trained.model.relative_to(trained.model.parents[1]) / "fold_0"
    for attempt in range(30):
        process = start(trained, tmp_path, *(["--c"] if attempt else []))
        if attempt < 5:
            wait, number = rng.uniform(4, 14), rng.choice([signal.SIGKILL, signal.SIGTERM])
            try:
                process.wait(wait)
            except subprocess.TimeoutExpired:
                process.send_signal(number)
                process.wait(GRACE)
            log.append(f"{wait:.1f} s, signal {number}: {process.returncode}")
            for checkpoint in fold.glob("checkpoint_*.pth"):
                torch.load(checkpoint, weights_only=False)  # each that is there is whole
        else:
            process.wait(LONGEST)
            log.append(f"left alone: {process.returncode}")
        if process.returncode == 0:
            break
    assert process.returncode == 0, log
    wanted, found = (
        torch.load(folder / "checkpoint_final.pth", weights_only=False)["network_weights"]
        for folder in (trained.model / "fold_0", fold)
    )
    assert list(found) == list(wanted)
    for name, weights in wanted.items():
        torch.testing.assert_close(found[name], weights, rtol=0, atol=0, msg=f"{name}; {log}")
    summaries = [(folder / "validation" / "summary.json") for folder in (trained.model / "fold_0", fold)]
    assert all(path.is_file() for path in summaries)

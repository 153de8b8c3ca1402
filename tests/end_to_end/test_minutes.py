"""``max_minutes`` by a clock that ticks when it is read: within an epoch, with a template, over an interruption."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from impulse_nnunet.security.checkpoints import load_checkpoint
from impulse_nnunet.training.optimiser import steps_of
from tests.training_runs import trainer, write_plans

pytestmark = pytest.mark.slow


class Clock:
    """A clock that goes on by so many seconds each time that it is read."""

    def __init__(self, tick=0.0):
        self.time, self.tick = 0.0, tick

    def __call__(self):
        self.time += self.tick
        return self.time


def by_steps(trainer, seconds=4.0):
    """Let the trainer's clock go on by so many seconds at each step and each batch of a validation."""
    trainer.pace.now = Clock()
    predict = trainer._predict

    def lasting(batch):
        trainer.pace.now.time += seconds
        return predict(batch)

    trainer._predict = lasting


def test_the_minutes_hold_within_the_first_epoch_and_the_checkpoint_is_whole(folders, plans):
    training = {"epochs": 1000, "iterations": 10_000, "validation_iterations": 8, "max_minutes": 1.0}
    plans["configurations"]["3d_impulse"]["impulse"]["training"] |= training
    write_plans(folders, plans)
    limited = trainer()
    by_steps(limited)
    limited.run_training()
    steps = steps_of(limited.optimizer)
    assert steps == 11  # of 4 s; 16 of the 60 s are kept for 8 batches of the validation, which take 32 s
    assert limited.pace.seconds == 11 * 4 + 4 * 4  # it stops when the minutes are over
    assert limited.current_epoch == 1
    assert limited.optimizer.param_groups[0]["lr"] == pytest.approx(limited.settings.training.final_learning_rate)
    checkpoint = load_checkpoint(str(Path(limited.output_folder) / "checkpoint_final.pth"))
    assert checkpoint["current_epoch"] == 1
    assert not (Path(limited.output_folder) / "checkpoint_latest.pth").exists()
    log = "".join(path.read_text() for path in Path(limited.output_folder).glob("training_log*.txt"))
    assert f"The time is up after {steps} step(s) of this epoch" in log
    assert "Step 5 of 10000: " in log
    assert "a step, training ends about " in log
    limited.perform_actual_validation()
    assert json.loads((Path(limited.output_folder) / "validation/summary.json").read_text())["metric_per_case"]
    again = trainer(continue_training=True)
    again.run_training()
    assert again.current_epoch == limited.current_epoch
    assert steps_of(again.optimizer) == steps


def test_a_learned_template_takes_its_share_of_the_minutes(folders, plans):
    content = plans["configurations"]["3d_impulse"]["impulse"]
    content["training"] |= {"epochs": 1000, "iterations": 10_000, "max_minutes": 1.0}
    content["template"] |= {"mode": "learned", "iterations": 100_000}
    write_plans(folders, plans)
    limited = trainer()
    limited.pace.now = Clock(tick=2.0)
    limited.run_training()
    assert limited.pace.seconds < 70
    log = "".join(path.read_text() for path in Path(limited.output_folder).glob("training_log*.txt"))
    found = re.search(r"Template pre-training ends after (\d+) of 100000 steps: its share of the minutes is over", log)
    assert 5 < int(found[1]) < 10  # 30 % of a minute, a reading of 2 s for each step


def test_after_ctrl_c_the_time_of_before_counts(folders, plans):
    training = {"epochs": 1000, "iterations": 10_000, "max_minutes": 1.0}
    plans["configurations"]["3d_impulse"]["impulse"]["training"] |= training
    write_plans(folders, plans)
    first = trainer()
    by_steps(first)
    step = first.train_step

    def interrupted(batch):
        if len(first.epoch_outputs) == 4:
            signal.raise_signal(signal.SIGINT)
        return step(batch)

    first.train_step = interrupted
    with pytest.raises(SystemExit) as end:
        first.run_training()
    assert end.value.code == 130
    second = trainer(continue_training=True)
    by_steps(second)
    second.on_train_start()
    assert second.pace.before_s == first.pace.seconds == 16
    second.on_train_start = lambda: None  # done above
    second.run_training()
    assert second.pace.seconds == 60
    assert steps_of(second.optimizer) == 14  # 4 s are kept for 2 batches

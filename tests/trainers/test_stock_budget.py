"""Stock nnU-Net under a budget; a whole training is in tests/end_to_end/test_studies.py."""

from time import time
from types import SimpleNamespace

import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from impulse_nnunet.errors import InputError
from impulse_nnunet.trainers.stock_budget import BudgetEntry, nnUNetTrainerBudget


def left(entry, **state):
    return nnUNetTrainerBudget.left(SimpleNamespace(budget=entry, **state))


def test_a_configuration_without_a_budget_is_refused_before_any_folder_is_made():
    plans = {"configurations": {"3d_fullres": {}}}
    with pytest.raises(InputError, match=r"configuration 3d_fullres: found no entry 'budget'"):
        nnUNetTrainerBudget(plans, "3d_fullres", 0, {}, torch.device("cpu"))


def test_the_budget_runs_down_by_steps():
    entry = BudgetEntry(8, 50, 5, 0.0, 0, mirroring=False)
    assert [left(entry, steps_done=steps) for steps in (0, 100, 400, 450)] == [1.0, 0.75, 0.0, 0.0]


def test_the_budget_runs_down_by_the_clock_with_the_time_before_an_interruption():
    entry = BudgetEntry(0, 50, 5, 10.0, 0, mirroring=False)
    assert left(entry, seconds_before=300, started=time()) == pytest.approx(0.5, abs=0.01)
    assert left(entry, seconds_before=500, started=time() - 200) == 0


class CountingTrainer(nnUNetTrainerBudget):
    """Only what a step needs; the parent's step is counted."""

    def __init__(self, minutes, network):
        self.budget, self.initial_lr = BudgetEntry(0, 50, 5, minutes, 0, mirroring=False), 0.01
        self.seconds_before, self.started, self.steps_done, self.last_output = 0.0, time(), 0, None
        self.optimizer = torch.optim.SGD(network.parameters(), 1.0)


def test_no_step_is_taken_after_the_time_is_up_and_the_checkpoint_knows_how_many_were(monkeypatch):
    taken = []
    monkeypatch.setattr(nnUNetTrainer, "train_step", lambda self, batch: taken.append(batch) or {"loss": len(taken)})
    trainer = CountingTrainer(10.0, torch.nn.Linear(1, 1))
    assert [trainer.train_step("a"), trainer.train_step("b")] == [{"loss": 1}, {"loss": 2}]
    trainer.seconds_before = 600
    assert trainer.train_step("c") == {"loss": 2}
    assert taken == ["a", "b"]
    assert trainer.optimizer.state_dict()["param_groups"][0]["steps"] == 2


def test_a_first_step_is_taken_however_late(monkeypatch):
    monkeypatch.setattr(nnUNetTrainer, "train_step", lambda self, batch: {"loss": 1})
    trainer = CountingTrainer(10.0, torch.nn.Linear(1, 1))
    trainer.seconds_before = 600
    assert trainer.train_step("a") == {"loss": 1}

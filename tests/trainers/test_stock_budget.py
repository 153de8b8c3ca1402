"""Stock nnU-Net under a budget; a whole training is in tests/end_to_end/test_studies.py."""

from time import time

import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from impulse_nnunet.errors import InputError
from impulse_nnunet.trainers.early_end import TimeUpError
from impulse_nnunet.trainers.stock_budget import BudgetEntry, nnUNetTrainerBudget


def left(entry, steps_done=0, before_s=0.0, running_s=None):
    trainer = nnUNetTrainerBudget.__new__(nnUNetTrainerBudget)
    pace = entry.pace()
    pace.before_s, pace.started = before_s, None if running_s is None else time() - running_s
    vars(trainer).update(budget=entry, steps_done=steps_done, num_epochs=entry.epochs, pace=pace)
    return trainer.left()


def test_a_configuration_without_a_budget_is_refused_before_any_folder_is_made():
    plans = {"configurations": {"3d_fullres": {}}}
    with pytest.raises(InputError, match=r"configuration 3d_fullres: found no entry 'budget'"):
        nnUNetTrainerBudget(plans, "3d_fullres", 0, {}, torch.device("cpu"))


def test_the_budget_runs_down_by_steps():
    entry = BudgetEntry(epochs=8, iterations=50, validation_iterations=5, minutes=0.0, seed=0, mirroring=False)
    assert [left(entry, steps_done=steps) for steps in (0, 100, 400, 450)] == [1.0, 0.75, 0.0, 0.0]


def test_the_budget_runs_down_by_the_clock_with_the_time_before_an_interruption():
    entry = BudgetEntry(epochs=0, iterations=50, validation_iterations=5, minutes=10.0, seed=0, mirroring=False)
    assert left(entry, before_s=300, running_s=0) == pytest.approx(0.5, abs=0.01)
    assert left(entry, before_s=500, running_s=200) == 0


class CountingTrainer(nnUNetTrainerBudget):
    """Only what a step needs; the parent's step is counted."""

    def __init__(self, minutes, network):
        self.budget, self.initial_lr = (
            BudgetEntry(epochs=0, iterations=50, validation_iterations=5, minutes=minutes, seed=0, mirroring=False),
            0.01,
        )
        self.pace, self.steps_done, self.epoch_outputs = self.budget.pace(), 0, []
        self.num_epochs, self.current_epoch, self.lines = 10**6, 0, []
        self.validated = False
        self.optimizer = torch.optim.SGD(network.parameters(), 1.0)
        self.pace.start()

    def print_to_log_file(self, *text):
        self.lines.append(text)


def test_no_step_is_taken_after_the_time_is_up_and_the_checkpoint_knows_how_many_were(monkeypatch):
    taken = []
    monkeypatch.setattr(nnUNetTrainer, "train_step", lambda self, batch: taken.append(batch) or {"loss": len(taken)})
    trainer = CountingTrainer(10.0, torch.nn.Linear(1, 1))
    assert [trainer.train_step("a"), trainer.train_step("b")] == [{"loss": 1}, {"loss": 2}]
    trainer.pace.before_s = 600
    with pytest.raises(TimeUpError) as found:
        trainer.train_step("c")
    assert found.value.within_epoch
    assert taken == ["a", "b"]
    assert trainer.optimizer.state_dict()["param_groups"][0]["steps"] == 2


def test_a_first_step_is_taken_however_late(monkeypatch):
    monkeypatch.setattr(nnUNetTrainer, "train_step", lambda self, batch: {"loss": 1})
    trainer = CountingTrainer(10.0, torch.nn.Linear(1, 1))
    trainer.pace.before_s = 600
    assert trainer.train_step("a") == {"loss": 1}


def test_the_clock_starts_after_the_first_step_and_leaves_out_the_first_validation(monkeypatch):
    clock = [1000.0]

    def lasting(seconds, output):
        def work(self, batch):
            clock[0] += seconds
            return output

        return work

    monkeypatch.setattr(nnUNetTrainer, "train_step", lasting(300, {"loss": 1}))  # compiles
    monkeypatch.setattr(nnUNetTrainer, "validation_step", lasting(100, {"loss": 1}))  # compiles
    trainer = CountingTrainer(10.0, torch.nn.Linear(1, 1))
    trainer.pace.now, trainer.pace.started = lambda: clock[0], None
    clock[0] += 50  # loads
    assert trainer.pace.seconds == 0
    trainer.train_step("a")
    assert trainer.pace.seconds == 0
    monkeypatch.setattr(nnUNetTrainer, "train_step", lasting(60, {"loss": 1}))
    trainer.train_step("b")
    assert trainer.pace.seconds == 60
    trainer.validation_step("c")
    assert trainer.pace.seconds == 60
    trainer.validation_step("d")
    assert trainer.pace.seconds == 160


def test_the_last_step_comes_at_the_end_of_the_schedule(monkeypatch):
    # 600 s, 5 validation batches of 30 s are kept free; steps of 60 s after the first: 7 end in time
    clock, rates = [0.0], []

    def step(self, batch):
        clock[0] += 60
        rates.append(self.optimizer.param_groups[0]["lr"])
        return {"loss": 1}

    monkeypatch.setattr(nnUNetTrainer, "train_step", step)
    trainer = CountingTrainer(10.0, torch.nn.Linear(1, 1))
    trainer.pace.now, trainer.pace.started = lambda: clock[0], None
    for _ in range(8):
        trainer.train_step("a")
    with pytest.raises(TimeUpError):
        trainer.train_step("a")
    assert len(rates) == 8
    assert rates[0] == 0.01
    assert rates[3] == pytest.approx(0.01 * (1 - 120 / 450) ** 0.9)
    assert rates[-1] == 0
    assert trainer.pace.seconds == 420


def test_the_checkpoint_knows_how_much_of_the_time_is_used_up(monkeypatch):
    monkeypatch.setattr(nnUNetTrainer, "on_epoch_end", lambda self: None)
    monkeypatch.setattr(nnUNetTrainer, "on_train_start", lambda self: None)
    trainer = CountingTrainer(10.0, torch.nn.Linear(1, 1))
    trainer.pace.started = time() - 200
    trainer.on_epoch_end()
    resumed = CountingTrainer(10.0, torch.nn.Linear(1, 1))
    resumed.optimizer.load_state_dict(trainer.optimizer.state_dict())
    resumed.on_train_start()
    assert resumed.left() == pytest.approx(1 - 200 / 600, abs=0.01)


def test_a_missing_gpu_is_named_before_any_folder_is_made(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    plans = {"configurations": {"3d_fullres": {"budget": {}}}}
    with pytest.raises(InputError, match="`device`: found cuda, expected a device of this machine"):
        nnUNetTrainerBudget(plans, "3d_fullres", 0, {}, torch.device("cuda"))


def test_minutes_on_several_gpus_are_refused(monkeypatch):
    def several(self, plans, configuration, fold, dataset_json, device):
        self.is_ddp, self.device = True, device

    monkeypatch.setattr(nnUNetTrainer, "__init__", several)
    entry = {"epochs": 0, "iterations": 50, "validation_iterations": 5, "minutes": 1.0, "seed": 0, "mirroring": False}
    plans = {"configurations": {"3d_fullres": {"budget": entry}}}
    with pytest.raises(NotImplementedError, match="budget of minutes is not supported on several GPUs: their clocks"):
        nnUNetTrainerBudget(plans, "3d_fullres", 0, {}, torch.device("cpu"))

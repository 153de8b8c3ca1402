"""Stock nnU-Net under a budget; a whole training is in tests/end_to_end/test_studies.py."""

from time import time
from types import SimpleNamespace

import pytest
import torch

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

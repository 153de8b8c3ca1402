import math

import pytest
import torch

from impulse_nnunet.trainers.schedule import CosineSchedule


def schedule():
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    return optimiser, CosineSchedule(optimiser, 1e-3, 1e-6)


@pytest.mark.parametrize(
    ("progress", "rate"),
    [(0, 1e-3), (0.5, (1e-3 + 1e-6) / 2), (1, 1e-6), (1 / 3, 1e-6 + (1e-3 - 1e-6) * 0.75)],  # cos 60 degrees = 1/2
)
def test_half_a_cosine(progress, rate):
    optimiser, cosine = schedule()
    assert cosine.move_to(progress) == pytest.approx(rate)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(rate)


def test_it_agrees_with_torchs():
    _, cosine = schedule()
    other = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(other, 10, eta_min=1e-6)
    for step in range(10):
        assert math.isclose(cosine.move_to(step / 10), torchs.get_last_lr()[0], rel_tol=1e-9)
        other.step()
        torchs.step()


def test_nnunets_call_at_each_epoch_changes_nothing():
    optimiser, cosine = schedule()
    cosine.step(7)
    assert optimiser.param_groups[0]["lr"] == 0.5

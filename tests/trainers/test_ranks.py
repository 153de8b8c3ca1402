import torch
from torch import distributed

from impulse_nnunet.trainers.ranks import any_rank, time_to_ask

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_a_lone_process_asks_itself_at_every_step():
    assert all(time_to_ask(step, device) for step in range(45) for device in (CPU, GPU))
    assert any_rank(True, CPU)
    assert not any_rank(False, CPU)


def test_several_ask_at_every_twentieth_step_on_gpus_and_at_every_one_elsewhere(monkeypatch):
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    assert [step for step in range(45) if time_to_ask(step, GPU)] == [0, 20, 40]
    assert all(time_to_ask(step, CPU) for step in range(45))

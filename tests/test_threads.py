import pytest
import torch

from impulse_nnunet.threads import keep_to_own_cores, on_all_own_cores


@pytest.mark.parametrize(("before", "asked", "after"), [(4, "2", 2), (1, "2", 1)], ids=["too many", "few enough"])
def test_threads_that_nnunet_set_are_taken_back_and_none_are_added(before, asked, after, monkeypatch):
    monkeypatch.setattr("impulse_nnunet.environment.usable_cpus", lambda: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    torch.set_num_threads(before)
    keep_to_own_cores(torch.device("cpu"))
    assert torch.get_num_threads() == after


def test_on_a_gpu_nothing_happens(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(4)
    keep_to_own_cores(torch.device("cuda"))
    assert torch.get_num_threads() == 4


def test_all_own_cores_for_a_while(monkeypatch):
    monkeypatch.setattr("impulse_nnunet.environment.usable_cpus", lambda: 3)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with on_all_own_cores():
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == 1
    with pytest.raises(RuntimeError, match="no memory"), on_all_own_cores():
        raise RuntimeError("no memory")
    assert torch.get_num_threads() == 1

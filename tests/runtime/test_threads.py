import pytest
import torch

from impulse_nnunet.runtime.threads import all_cpu_threads, limit_cpu_threads


@pytest.mark.parametrize(("before", "asked", "after"), [(4, "2", 2), (1, "2", 1)], ids=["too many", "few enough"])
def test_threads_that_nnunet_set_are_taken_back_and_none_are_added(before, asked, after, monkeypatch):
    monkeypatch.setattr("impulse_nnunet.runtime.cpus.usable_cpus", lambda: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    torch.set_num_threads(before)
    limit_cpu_threads(torch.device("cpu"))
    assert torch.get_num_threads() == after


def test_on_a_gpu_nothing_happens(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(4)
    limit_cpu_threads(torch.device("cuda"))
    assert torch.get_num_threads() == 4


def test_all_own_cores_for_a_while(monkeypatch):
    monkeypatch.setattr("impulse_nnunet.runtime.cpus.usable_cpus", lambda: 3)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with all_cpu_threads():
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == 1
    with pytest.raises(RuntimeError, match="no memory"), all_cpu_threads():
        raise RuntimeError("no memory")
    assert torch.get_num_threads() == 1

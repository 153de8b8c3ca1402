import os

import pytest
import torch

from impulse_nnunet.cli.device import chosen_device
from impulse_nnunet.cli.main import main


def test_the_cpu_takes_the_cores_of_the_job(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_device("cpu") == torch.device("cpu")
    assert torch.get_num_threads() == len(os.sched_getaffinity(0))
    assert chosen_device(None) is None


@pytest.mark.parametrize(
    "command", [["predict", "-m", "M"], ["reconstruct", "--segment_model", "M"]], ids=["predict", "reconstruct"]
)
def test_a_missing_gpu_is_one_line(command, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([*command, "-i", str(tmp_path), "-o", str(tmp_path / "out"), "-device", "cuda"]) == 2
    assert "-device: found cuda, expected a device of this machine; give -device cpu" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

import pytest
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.runtime.devices import check_device, why_no_cuda


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_the_cpu_always_serves(device):
    check_device(device)


@pytest.mark.parametrize("device", ["cuda", torch.device("cuda", 1)])
def test_a_gpu_serves_where_there_is_one(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_device(device)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="`device`: found cuda, expected a device of this machine; give `device` cpu"):
        check_device(device)


def test_mps_is_refused_with_the_reason():
    message = "`device`: found mps, expected cpu or cuda; positions are computed in float64, which mps lacks; give"
    for device in ("mps", torch.device("mps")):
        with pytest.raises(InputError, match=message):
            check_device(device)


@pytest.mark.parametrize("name", ["tpu", "cuda:1", ""])
def test_other_names_are_refused(name):
    with pytest.raises(InputError, match=f"`device`: found {name}, expected cpu or cuda; choose one of them"):
        check_device(name)


def test_the_reason_that_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "is built without CUDA" in why_no_cuda()
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "sees no GPU with CUDA_VISIBLE_DEVICES=''; nvidia-smi tells" in why_no_cuda()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert "sees no GPU; nvidia-smi tells" in why_no_cuda()

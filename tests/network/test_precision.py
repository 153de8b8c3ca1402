"""Half precision on CUDA alone: bfloat16 where the GPU has it, float16 with a scaled loss where not."""

import pytest
import torch

from impulse_nnunet.network import precision
from impulse_nnunet.network.precision import encoder_autocast, full_precision, needs_scaler


@pytest.fixture(params=[True, False], ids=["with bfloat16", "without bfloat16"])
def has_bfloat16(request, monkeypatch):
    asked = []

    def supported(including_emulation=True):
        asked.append(including_emulation)
        return request.param

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    precision.half_precision.cache_clear()
    yield request.param
    precision.half_precision.cache_clear()
    assert asked == [False]  # emulated, it would be slow


def test_a_loss_is_scaled_for_float16_alone(has_bfloat16):
    assert needs_scaler(torch.device("cuda")) is not has_bfloat16
    assert needs_scaler("cuda:0") is not has_bfloat16


def test_the_encoder_runs_in_the_half_that_the_gpu_has(has_bfloat16, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "autocast", lambda device, **how: asked.append((device, how)))
    encoder_autocast(torch.device("cuda", 0))
    assert asked == [("cuda", {"dtype": torch.bfloat16 if has_bfloat16 else torch.float16})]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_elsewhere_nothing_changes(device):
    with encoder_autocast(torch.device(device)):
        assert torch.mm(torch.ones(2, 2, device=device), torch.ones(2, 2, device=device)).dtype == torch.float32
    assert not needs_scaler(device)


def test_full_precision_within_half():
    a = torch.ones(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.mm(a, a).dtype == torch.bfloat16
        with full_precision(a.device):
            assert torch.mm(a, a).dtype == torch.float32

import logging

import pytest
import torch

from impulse_nnunet.geometry.working_volume import to_working_volume
from impulse_nnunet.inference import upload
from impulse_nnunet.inference.upload import uploaded, working_volume_on

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
GRID = (4, 5, 6)


@pytest.fixture
def made_up_cuda(monkeypatch):
    """What is sent to CUDA stays here; notes what was sent."""
    sent = []

    def stay(image, device):
        sent.append((tuple(image.shape), device.type))
        return image

    monkeypatch.setattr(upload, "uploaded", stay)
    monkeypatch.setattr(upload, "full_precision", lambda device: torch.autocast("cpu", enabled=False))
    return sent


def test_on_the_cpu_nothing_is_copied():
    image = torch.randn(1, 3, 4, 5)
    assert uploaded(image, CPU) is image


def test_what_is_on_the_device_already_stays():
    image = torch.empty(1, 3, 4, 5, device="meta")
    assert uploaded(image, torch.device("meta")) is image


def test_a_gpu_gets_one_channel_at_a_time_and_gives_the_same_volume(made_up_cuda):
    image = torch.randn(3, 9, 10, 11)
    volume = working_volume_on(CUDA, image, GRID)
    assert made_up_cuda == [((1, 9, 10, 11), "cuda")] * 3
    torch.testing.assert_close(volume, to_working_volume(image, GRID), rtol=0, atol=1e-3)  # float16 of the same sums
    assert volume.dtype == torch.float16


def test_an_image_that_does_not_fit_is_reduced_on_the_cpu(monkeypatch, caplog):
    def full(image, device):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(upload, "uploaded", full)
    monkeypatch.setattr(upload, "full_precision", lambda device: torch.autocast("cpu", enabled=False))
    image = torch.randn(1, 9, 10, 11)
    with caplog.at_level(logging.DEBUG, "impulse_nnunet.inference.upload"):
        assert torch.equal(working_volume_on(CUDA, image, GRID), to_working_volume(image, GRID))
    assert caplog.messages == ["the native image does not fit on cuda: reduced on the CPU"]


def test_another_error_is_not_taken_for_lack_of_memory(monkeypatch):
    def broken(image, device):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(upload, "uploaded", broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        working_volume_on(CUDA, torch.randn(1, 9, 10, 11), GRID)

import logging
from types import SimpleNamespace

import pytest
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.inference.memory import with_less_memory
from impulse_nnunet.runtime.device_errors import DeviceLostError
from impulse_nnunet.settings import InferenceSettings
from tests.support import settings_for

BLOCK = 1600


def ensemble_on(name):
    ensemble = SimpleNamespace(device=torch.device(name))
    ensemble.to = lambda device: setattr(ensemble, "device", device)
    return ensemble


def run(name, enough, error=None):
    """The attempts (device, block) until ``enough`` of them, and what comes out."""
    attempts = []

    def work(ensemble, settings):
        attempts.append((ensemble.device.type, settings.inference.block_points))
        if not enough(*attempts[-1]):
            raise error or torch.cuda.OutOfMemoryError("out of memory")
        return "labels"

    ensemble = ensemble_on(name)
    settings = settings_for(inference=InferenceSettings(block_points=BLOCK))
    try:
        return attempts, with_less_memory(ensemble, settings, "case_1", work)
    finally:
        assert ensemble.device.type == name  # back where it was


def test_enough_memory_is_one_attempt():
    assert run("cuda", lambda device, block: True) == ([("cuda", 1600)], "labels")


def test_smaller_blocks_then_the_cpu_said_in_the_log(caplog):
    with caplog.at_level(logging.WARNING):
        attempts, result = run("cuda", lambda device, block: device == "cpu")
    assert attempts == [("cuda", 1600), ("cuda", 400), ("cuda", 100), ("cpu", 1600)]
    assert result == "labels"
    assert [record.getMessage() for record in caplog.records] == [
        "case_1: out of memory on cuda, going on with blocks of 1/4 on cuda",
        "case_1: out of memory on cuda, going on with blocks of 1/16 on cuda",
        "case_1: out of memory on cuda, going on with blocks of 1/1 on cpu",
    ]


def test_the_cpu_itself_gets_smaller_blocks():
    error = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    attempts, _ = run("cpu", lambda device, block: block <= 400, error)
    assert attempts == [("cpu", 1600), ("cpu", 400)]


def test_no_memory_at_all_is_a_fault_of_the_case():
    with pytest.raises(InputError, match="case_1: found too little memory, in the smallest blocks on cpu too"):
        run("cuda", lambda device, block: False)


def test_other_errors_are_not_swallowed():
    with pytest.raises(RuntimeError, match="sizes do not fit"):
        run("cuda", lambda device, block: False, RuntimeError("sizes do not fit"))
    with pytest.raises(ValueError, match="out of memory"):
        run("cuda", lambda device, block: False, ValueError("out of memory"))


def test_words_of_cuda_are_enough():
    error = RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported")
    assert run("cuda", lambda device, block: block <= 100, error)[0] == [("cuda", 1600), ("cuda", 400), ("cuda", 100)]


def test_a_lost_device_is_one_line_and_nothing_is_tried_again():
    attempts = []

    def work(ensemble, settings):
        attempts.append(ensemble.device.type)
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be")

    with pytest.raises(DeviceLostError, match=r"case_1: found a CUDA error .* \(CUDA error: an illegal memory access"):
        with_less_memory(ensemble_on("cuda"), settings_for(), "case_1", work)
    assert attempts == ["cuda"]


def test_cached_memory_goes_back_to_the_gpu_between_attempts(monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(1))
    run("cuda", lambda device, block: block <= 100)
    assert len(emptied) == 2


def test_the_cpu_works_with_all_usable_cores_in_place_of_a_gpu(monkeypatch):
    monkeypatch.setattr("impulse_nnunet.runtime.threads.usable_threads", lambda: 3)
    threads = []

    def enough(device, block):
        threads.append((device, torch.get_num_threads()))
        return device == "cpu"

    torch.set_num_threads(1)  # as nnU-Net's commands leave it
    run("cuda", enough)
    assert threads == [("cuda", 1)] * 3 + [("cpu", 3)]
    assert torch.get_num_threads() == 1


def test_a_network_that_no_longer_fits_on_the_gpu_stays_on_the_cpu(monkeypatch, caplog):
    monkeypatch.setattr("impulse_nnunet.inference.memory.usable_threads", lambda: 3)
    ensemble = SimpleNamespace(device=torch.device("cuda"))

    def move(device):
        if device.type == "cuda":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        ensemble.device = device

    ensemble.to = move

    def work(ensemble, settings):
        if ensemble.device.type == "cuda":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return "labels"

    with caplog.at_level(logging.WARNING):
        assert with_less_memory(ensemble, settings_for(), "case_1", work) == "labels"
    assert (
        caplog.messages[-1] == "case_1: no room on cuda for the network any more, going on with the next cases on cpu"
    )
    assert ensemble.device.type == "cpu"
    assert torch.get_num_threads() == 3

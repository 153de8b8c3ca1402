import logging
from types import SimpleNamespace

import pytest
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.inference.memory import is_out_of_memory, with_less_memory
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
    assert not is_out_of_memory(ValueError("memory"))
    assert is_out_of_memory(MemoryError())

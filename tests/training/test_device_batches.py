"""Batches made ahead of the step are those made at it; on the CPU nothing is made ahead."""

import threading

import pytest
import torch

from impulse_nnunet.training.batches import OrderedPrefetcher
from impulse_nnunet.training.device_batches import DeviceBatches
from impulse_nnunet.training.inputs import InputMaker, NetworkBatch
from tests.training.test_inputs import SETTINGS, batch_of

CPU = torch.device("cpu")


def made(step):
    return NetworkBatch(images=torch.full((1,), float(step)), points=None, labels=torch.tensor([step]))


def loader_of(ahead, make=made, workers=2):
    return DeviceBatches(OrderedPrefetcher(lambda step: step, workers), make, CPU, ahead)


@pytest.mark.parametrize("ahead", [False, True])
def test_batches_come_in_order_and_follow_a_seek(ahead):
    batches = loader_of(ahead)
    steps = lambda number: [int(next(batches).labels) for _ in range(number)]  # noqa: E731
    assert steps(4) == [0, 1, 2, 3]
    assert batches.step == 4
    batches.seek(4)  # where it stands: what is made already serves
    assert steps(2) == [4, 5]
    batches.seek(20)
    assert batches.step == 20
    assert steps(2) == [20, 21]
    batches.seek(23)  # where the loader stands, but not the batches
    assert steps(1) == [23]
    batches.seek(2)
    assert steps(2) == [2, 3]
    assert batches.step == 4
    batches.close()


def test_on_the_cpu_a_batch_is_made_when_it_is_asked_for_in_the_callers_thread():
    where = []
    batches = loader_of(None, lambda step: where.append((step, threading.current_thread())) or made(step))
    next(batches)
    assert where == [(0, threading.main_thread())]
    next(batches)
    assert [step for step, _ in where] == [0, 1]
    batches.close()


def test_ahead_the_next_is_made_in_another_thread():
    ready, where = threading.Event(), []

    def make(step):
        where.append(threading.current_thread())
        if step == 1:
            ready.set()
        return made(step)

    batches = loader_of(True, make)
    next(batches)
    assert ready.wait(10)
    assert threading.main_thread() not in where
    batches.close()


@pytest.mark.parametrize("ahead", [False, True])
def test_an_error_reaches_the_caller_at_its_step(ahead):
    def fail(step):
        if step == 1:
            raise KeyError("case_7")
        return made(step)

    batches = loader_of(ahead, fail)
    assert int(next(batches).labels) == 0
    with pytest.raises(KeyError, match="case_7"):
        next(batches)
    batches.close()


def test_an_error_ahead_of_a_seek_or_the_end_is_nobodys():
    def fail(step):
        if step == 1:
            raise KeyError(step)
        return made(step)

    batches = loader_of(True, fail)
    next(batches)
    batches.seek(7)
    assert int(next(batches).labels) == 7
    batches.seek(0)
    next(batches)
    batches.close()


def test_the_same_numbers_ahead_and_at_the_step():
    def numbers(ahead):
        samples = OrderedPrefetcher(lambda step: batch_of(step=step), 0)
        batches = DeviceBatches(samples, InputMaker(SETTINGS, CPU, augment=True), CPU, ahead)
        found = [next(batches).tensors() for _ in range(3)]
        batches.close()
        return found

    for one, other in zip(numbers(False), numbers(True), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

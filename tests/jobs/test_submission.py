"""GPUs shared out among the jobs of this machine; submissions themselves are in tests/cli/test_submit.py."""

import os
import pickle

import pytest
import torch

from impulse_nnunet.cli.shard_job import ShardJob
from impulse_nnunet.errors import InputError
from impulse_nnunet.jobs.submission import OnGpus, shares_of_gpus

UUIDS = "GPU-5ebe9f43-ac33-8d02-8b4d-d3dd3a1a1a01, MIG-GPU-5ebe9f43/1/0"


@pytest.fixture
def machine(monkeypatch):
    """A machine with so many GPUs in sight, by a value of CUDA_VISIBLE_DEVICES."""

    def make(number, visible):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return make


@pytest.mark.parametrize(
    ("there", "visible", "each", "shares"),
    [
        (3, None, 1, [("0",), ("1",), ("2",), ("0",)]),
        (3, None, 2, [("0", "1"), ("2", "0"), ("1", "2"), ("0", "1")]),
        (2, "5,3", 1, [("5",), ("3",), ("5",), ("3",)]),
        (1, "2,-1,3", 1, [("2",)] * 4),  # CUDA's rule: what follows a name that is none is not seen
        (2, UUIDS, 1, [(name,) for name in UUIDS.split(", ")] * 2),
        (0, "", 0, [()] * 4),
    ],
    ids=["all", "two each", "two of many", "cut short", "UUIDs", "none asked for"],
)
def test_only_gpus_in_sight_are_shared_out(machine, there, visible, each, shares):
    machine(there, visible)
    assert shares_of_gpus(each, 4) == shares


@pytest.mark.parametrize(
    ("there", "visible", "limits"),
    [
        (1, None, "at most 1, as this machine has"),
        (0, "", "at most 0, as this machine has, and CUDA_VISIBLE_DEVICES is"),
    ],
)
def test_more_than_are_in_sight(machine, there, visible, limits):
    machine(there, visible)
    with pytest.raises(InputError, match=f"`gpus`: found 2, expected {limits}"):
        shares_of_gpus(2, 1)


class Seen:
    def __call__(self):
        self.visible = os.environ["CUDA_VISIBLE_DEVICES"]


def test_a_task_sees_its_gpus_only(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # as submitit leaves it
    task = Seen()
    OnGpus(task, ("5", "GPU-1"))()
    assert task.visible == "5,GPU-1"


def test_a_task_on_gpus_goes_to_another_process_and_is_started_again_there():
    job = OnGpus(ShardJob(("predict",)), ("1",))
    assert pickle.loads(pickle.dumps(job)) == job
    assert job.checkpoint().function == job

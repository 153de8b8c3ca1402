import os
from functools import partial

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.jobs.pool import Failure, Work, default_processes, outcomes


def work_on(number, add):
    if number == 2:
        raise InputError("2", "a bad item", "a good one", "leave it out")
    if number == 3:
        raise MemoryError
    if number == 4:
        os._exit(1)
    return number + add


WORK = Work(function=partial(work_on, add=10), case=str, result="a sum")
BAD = Failure("2: found a bad item, expected a good one; leave it out")
NO_ROOM = Failure("3: found too little memory, expected room for its label maps; try a smaller `processes`")
KILLED = Failure(
    "4: found its process killed, perhaps for lack of memory, expected a sum; free memory, or look at its files"
)


def test_one_after_the_other():
    assert list(outcomes(WORK, [1, 2, 3, 5], 1)) == [(1, 11), (2, BAD), (3, NO_ROOM), (5, 15)]
    assert list(outcomes(WORK, [], 4)) == []


def test_side_by_side_and_one_is_killed():
    assert dict(outcomes(WORK, [1, 2, 3, 4, 5], 2)) == {1: 11, 2: BAD, 3: NO_ROOM, 4: KILLED, 5: 15}


def test_number_of_processes(monkeypatch):
    monkeypatch.setenv("nnUNet_def_n_proc", "7")
    assert default_processes() == 7
    monkeypatch.delenv("nnUNet_def_n_proc")
    assert default_processes() == len(os.sched_getaffinity(0))
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert default_processes() == 1
    monkeypatch.setenv("nnUNet_def_n_proc", "many")
    with pytest.raises(InputError, match="nnUNet_def_n_proc: found 'many', expected a number of processes"):
        default_processes()

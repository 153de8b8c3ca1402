"""Shards of a cohort: which cases one of many calls takes, from the flags or from the scheduler's own variables.

A shard knows nothing of the others. Shard i of n takes every n-th name of the sorted list, from the i-th on (as
nnU-Net's ``-num_parts`` and ``-part_id`` do), so each call works out its cases alone, and the n shards cover each case
once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from impulse_nnunet.errors import InputError

Item = TypeVar("Item")
AUTO = "auto"


@dataclass(frozen=True)
class Shard:
    """One of ``count`` equal shares.

    Args:
        index: From 0.
        count: Count of all shards.
    """

    index: int = 0
    count: int = 1

    def of(self, items: Sequence[Item]) -> list[Item]:
        """This shard's share of items that are in the same order in every call."""
        return list(items[self.index :: self.count])

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_shard(text: str, environment: Mapping[str, str]) -> Shard:
    """Read ``I/N`` (I from 0) or ``auto``.

    Raises:
        InputError: Neither, I is not below N, or no job array for ``auto``.
    """
    if text == AUTO:
        return shard_of_array(environment)
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if found is None:
        raise InputError("`shard`", repr(text), f"{AUTO}, or I/N with I from 0", "e.g. `shard` 0/8")
    return checked_shard(int(found[1]), int(found[2]), "shard")


def checked_shard(index: int, count: int, setting: str) -> Shard:
    """A shard from two numbers.

    Raises:
        InputError: Unless 0 <= index < count; names the setting.
    """
    if count < 1:
        raise InputError(f"`{setting}`", f"{count} shards", "1 or more", "correct the number of shards")
    if not 0 <= index < count:
        raise InputError(f"`{setting}`", str(index), f"0 to {count - 1} of {count}", "count shards from 0")
    return Shard(index, count)


def shard_of_array(environment: Mapping[str, str]) -> Shard:
    """The shard of a task of a job array: Slurm, LSF, or Grid Engine.

    Raises:
        InputError: Not in a job array, or in one whose number of tasks is not known.
    """
    for scheduler in (_slurm, _lsf, _grid_engine):
        shard = scheduler(environment)
        if shard is not None:
            return shard
    for variable in ("PBS_ARRAY_INDEX", "PBS_ARRAYID"):
        if environment.get(variable, ""):
            raise InputError(
                variable,
                f"{environment[variable]}, but PBS does not tell the number of tasks",
                "a number of tasks",
                f"give `shard` ${variable}/N with the tasks numbered from 0",
            )
    raise InputError(
        f"`shard` {AUTO}",
        "no variable of a job array",
        "SLURM_ARRAY_TASK_ID, LSB_JOBINDEX or SGE_TASK_ID",
        "run it as a task of a job array, or give `shard` I/N",
    )


def _slurm(environment: Mapping[str, str]) -> Shard | None:
    """SLURM_ARRAY_TASK_COUNT tells the number of tasks; a list such as 1,5,6 does not tell the places in it."""
    if not environment.get("SLURM_ARRAY_TASK_ID"):
        return None
    task = _number(environment, "SLURM_ARRAY_TASK_ID")
    first = _number(environment, "SLURM_ARRAY_TASK_MIN", task)
    last = _number(environment, "SLURM_ARRAY_TASK_MAX", task)
    step = max(1, _number(environment, "SLURM_ARRAY_TASK_STEP", 1))
    shard = _progression("SLURM_ARRAY_TASK_ID", task, first, last, step)
    count = _number(environment, "SLURM_ARRAY_TASK_COUNT", shard.count)
    if count != shard.count:
        raise InputError(
            "SLURM_ARRAY_TASK_COUNT",
            f"{count} tasks between {first} and {last}",
            "equal steps between the tasks",
            "number the tasks from 0 without gaps, or give `shard` $SLURM_ARRAY_TASK_ID/N",
        )
    return shard


def _lsf(environment: Mapping[str, str]) -> Shard | None:
    """LSF numbers from 1 and does not tell the first index: it is taken to be 1; index 0 means no array."""
    if environment.get("LSB_JOBINDEX", "0") in ("", "0"):
        return None
    step = max(1, _number(environment, "LSB_JOBINDEX_STEP", 1))
    task, last = _number(environment, "LSB_JOBINDEX"), _number(environment, "LSB_JOBINDEX_END")
    return _progression("LSB_JOBINDEX", task, 1, last, step)


def _grid_engine(environment: Mapping[str, str]) -> Shard | None:
    if environment.get("SGE_TASK_ID", "undefined") in ("", "undefined"):
        return None
    task, first = _number(environment, "SGE_TASK_ID"), _number(environment, "SGE_TASK_FIRST")
    last, step = _number(environment, "SGE_TASK_LAST"), max(1, _number(environment, "SGE_TASK_STEPSIZE", 1))
    return _progression("SGE_TASK_ID", task, first, last, step)


def _progression(variable: str, task: int, first: int, last: int, step: int) -> Shard:
    if not first <= task <= last or (task - first) % step:
        raise InputError(variable, str(task), f"one of {first} to {last} in steps of {step}", "give `shard` I/N")
    return Shard((task - first) // step, (last - first) // step + 1)


def _number(environment: Mapping[str, str], variable: str, default: int | None = None) -> int:
    text = environment.get(variable) or ("" if default is None else str(default))
    if not re.fullmatch(r"\d{1,9}", text):
        found = repr(text) if text else "no value"
        raise InputError(variable, found, "a number, as the scheduler sets it", "give `shard` I/N")
    return int(text)

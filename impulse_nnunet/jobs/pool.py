"""Items on processes, one after the other or side by side: one bad item does not stop the others."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from impulse_nnunet.errors import InputError
from impulse_nnunet.jobs.process_guard import end_with_parent
from impulse_nnunet.runtime.cpus import usable_cpus

PROCESSES_VARIABLE = "nnUNet_def_n_proc"
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """Why there is no result.

    Args:
        reason: One line.
    """

    reason: str


@dataclass(frozen=True, kw_only=True)
class Work(Generic[Item, Result]):
    """What is done with each item; processes have to be able to take it over.

    Args:
        function: From an item to its result.
        case: From an item to its case identifier, for messages.
        result: What comes of it, for messages, e.g. ``numbers``.
    """

    function: Callable[[Item], Result]
    case: Callable[[Item], str]
    result: str

    def attempt(self, item: Item) -> Result | Failure:
        """The result, or why a user's file allows none."""
        try:
            return self.function(item)
        except (InputError, OSError) as error:
            return Failure(str(error))
        except MemoryError:
            remedy = "try a smaller `processes`"
            return Failure(str(InputError(self.case(item), "too little memory", "room for its label maps", remedy)))

    def attempt_alone(self, item: Item) -> Result | Failure:
        """In a process for itself: a killed one stops its whole pool; alone, an item has the memory for itself."""
        try:
            with _pool(1) as pool:
                return pool.submit(self.attempt, item).result()
        except BrokenProcessPool:
            found = "its process killed, perhaps for lack of memory"
            return Failure(str(InputError(self.case(item), found, self.result, "free memory, or look at its files")))


def outcomes(
    work: Work[Item, Result], items: Sequence[Item], processes: int
) -> Iterator[tuple[Item, Result | Failure]]:
    """Each item with what came of it, in the order in which they are done."""
    if min(processes, len(items)) <= 1:
        for item in items:
            yield item, work.attempt(item)
        return
    left = dict(enumerate(items))
    with _pool(min(processes, len(items))) as pool, suppress(BrokenProcessPool):
        futures: dict[Future[Result | Failure], int] = {
            pool.submit(work.attempt, item): number for number, item in left.items()
        }
        for future in as_completed(futures):
            if not isinstance(future.exception(), BrokenProcessPool):
                yield left.pop(futures[future]), future.result()
    for item in left.values():
        yield item, work.attempt_alone(item)


def default_processes() -> int:
    """nnU-Net's ``nnUNet_def_n_proc``, or one process for each core that this job may use.

    Raises:
        InputError: The variable holds no number.
    """
    number = os.environ.get(PROCESSES_VARIABLE) or str(usable_cpus())
    if not number.isdecimal():
        raise InputError(PROCESSES_VARIABLE, repr(number), "a number of processes", "correct it, or give `processes`")
    return int(number)


def _pool(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), end_with_parent, (os.getpid(),))

"""Reading and writing in threads: a few cases ahead of the decoding, a few behind it, and never more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from types import TracebackType
from typing import TypeVar

PREFETCH = 2
T = TypeVar("T")


class Writers:
    """A pool that keeps the caller waiting while more than ``number`` cases are unwritten, so memory stays bounded.

    Args:
        number: Threads.
    """

    def __init__(self, number: int) -> None:
        self.pool = ThreadPoolExecutor(max(1, number))
        self.places = BoundedSemaphore(max(1, number) + 1)

    def submit(self, write: Callable[[], object]) -> Future[object]:
        """Queue a write; waits for a place."""
        self.places.acquire()
        future = self.pool.submit(write)
        future.add_done_callback(lambda _: self.places.release())
        return future

    def __enter__(self) -> Writers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pool.shutdown(wait=True, cancel_futures=error is not None)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What some work returns, and its seconds."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def in_order(
    pool: ThreadPoolExecutor, function: Callable[[str], T], items: list[str]
) -> Iterator[tuple[str, Future[T]]]:
    """Futures of a function in the items' order, a few ahead of their use."""
    futures: list[Future[T]] = []
    for position, item in enumerate(items):
        while len(futures) <= min(position + PREFETCH, len(items) - 1):
            futures.append(pool.submit(function, items[len(futures)]))
        yield item, futures[position]
        futures[position] = Future()  # lets go of the image

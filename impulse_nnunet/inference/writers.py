"""Writing in threads, a few cases behind the decoding and never more."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from types import TracebackType


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

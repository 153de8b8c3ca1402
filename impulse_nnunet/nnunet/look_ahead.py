"""Cases that are read while others are predicted."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

PREFETCH = 2


def in_order(pool: ThreadPoolExecutor, function: Any, items: list[str]) -> Iterator[tuple[str, Future[Any]]]:
    """Futures of a function in the items' order, a few ahead of their use."""
    futures: list[Future[Any]] = []
    for position, item in enumerate(items):
        while len(futures) <= min(position + PREFETCH, len(items) - 1):
            futures.append(pool.submit(function, items[len(futures)]))
        yield item, futures[position]
        futures[position] = Future()  # lets go of the image

"""Two calls at work on the same files keep out of each other's way (POSIX; elsewhere nothing is locked)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from impulse_nnunet.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(path: Path, wait: bool = True, on_wait: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Hold a lock file; yields its descriptor, which a child process may inherit to go on holding it.

    Args:
        path: Path of the lock file.
        wait: Until the other call lets go; else it is an error.
        on_wait: Called before it waits for another call.

    Raises:
        InputError: Another call holds it and ``wait`` is off.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if not wait:
                    raise InputError(
                        str(path.parent), "another call at work on this run", "none", "wait for it, or end it"
                    ) from error
                on_wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)

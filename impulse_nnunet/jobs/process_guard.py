"""Processes that end with the one that started them, even where that was killed and could not tell them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

POLL_S = 1.0


def end_with_parent(parent: int) -> None:
    """Watch the parent from a thread; when it is gone this process, a worker that keeps nothing, ends.

    Ctrl-C, which a terminal sends to all, is the parent's to handle: workers would print a traceback each.

    Args:
        parent: Its process id, from itself: it may be gone already.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    _when_gone(parent, lambda: os._exit(1))


def end_group_with_parent(parent: int, patience_s: float) -> None:
    """The same for a process that leads a group, with all processes of the group.

    Args:
        parent: Its process id, from itself.
        patience_s: This process gets SIGTERM and so much time to save its state; with 0 the group is killed at once.
    """

    def end() -> None:
        if patience_s > 0:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            time.sleep(patience_s)
        os.killpg(0, signal.SIGKILL)

    _when_gone(parent, end)


def _when_gone(parent: int, end: Callable[[], None]) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        end()

    threading.Thread(target=watch, daemon=True, name="parent watch").start()

"""Worker processes that end with the one that started them, even where that was killed and could not tell them."""

from __future__ import annotations

import os
import signal
import threading
import time

POLL_S = 1.0


def end_with_parent(parent: int, whole_group: bool = False) -> None:
    """Watch the parent from a thread; when it is gone this process ends.

    Args:
        parent: Its process id, from itself: it may be gone already.
        whole_group: All processes of this one's group end, its own workers among them.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        if whole_group:
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent watch").start()

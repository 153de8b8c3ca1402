"""Whether files that say nothing of their orientation may pass: the user's word.

It goes through the environment, so that worker processes, jobs and nnU-Net's own commands know it too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

ASSUME_VARIABLE = "IMPULSE_NNUNET_ASSUME_ORIENTATION"


def may_assume_orientation() -> bool:
    """Whether the user lets files without an orientation pass."""
    return bool(os.environ.get(ASSUME_VARIABLE))


@contextmanager
def assuming_orientation(assume: bool) -> Iterator[None]:
    """Let files without an orientation pass within the block, in all threads, if ``assume``."""
    before = os.environ.get(ASSUME_VARIABLE)
    if assume:
        os.environ[ASSUME_VARIABLE] = "1"
    try:
        yield
    finally:
        if assume and before is None:
            os.environ.pop(ASSUME_VARIABLE, None)

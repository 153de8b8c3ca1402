"""Run an installed command in this Python: ``python -m impulse_nnunet.jobs.launch nnUNetv2_train ...``.

The command ends with its parent: should the parent be killed, the child is asked to stop (Linux), so that no training
goes on unseen beside the one that the next call starts.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from importlib.metadata import entry_points

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies; nothing on other systems."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> None:
    """Find the command's entry point and run it."""
    end_with_parent()
    name = sys.argv[1]
    found = list(entry_points(group="console_scripts", name=name))
    if not found:
        sys.exit(f"no installed command {name}")
    sys.argv = [name, *sys.argv[2:]]
    sys.exit(found[0].load()())


if __name__ == "__main__":
    main()

"""A command in a process of its own, with its peak memory: ``python -m ... REPORT MODULE:FUNCTION ARGUMENTS``.

The command is nnU-Net's own entry point (or ours); the report is a JSON file, written when it ends well. Should the
calling process be gone, the command gets SIGTERM, upon which our trainers keep their state.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from impulse_nnunet.peak_memory import peak_gigabytes

LOOK_EVERY_S = 1.0


def main(arguments: Sequence[str]) -> None:
    """Run the command and write the report."""
    report, target, *rest = arguments
    started = time.monotonic()
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    module, _, function = target.partition(":")
    sys.argv = [function, *rest]
    getattr(importlib.import_module(module), function)()
    content = {"seconds": time.monotonic() - started, **peak_memory()}
    Path(report).write_text(json.dumps(content), encoding="utf-8")


def peak_memory() -> dict[str, Any]:
    """Peak memory of this process in GB: main memory (None where unknown), and the GPU's if one was used."""
    try:
        peak: float | None = peak_gigabytes()
    except OSError:
        peak = None
    torch = sys.modules.get("torch")
    used = torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized()
    return {"memory_gb": peak, "gpu_memory_gb": torch.cuda.max_memory_reserved() / 1e9 if torch and used else None}


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1:])

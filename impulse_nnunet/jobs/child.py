"""What :func:`impulse_nnunet.jobs.process.run_command` starts: a command, measured, that ends with its parent.

``python -m impulse_nnunet.jobs.child PARENT PATIENCE REPORT COMMAND ARGUMENTS``; COMMAND is an installed command
(nnU-Net's or ours) or MODULE:FUNCTION. The report is a JSON file, written when the command ends well.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from impulse_nnunet.jobs.process_guard import end_group_with_parent
from impulse_nnunet.runtime.peak_memory import peak_gigabytes


def main(arguments: Sequence[str]) -> None:
    """Run the command and write the report."""
    parent, patience_s, report, command, *rest = arguments
    started = time.monotonic()
    end_group_with_parent(int(parent), float(patience_s))
    run, name = entry_point(command)
    sys.argv = [name, *rest]
    try:
        code = run()
    except SystemExit as end:
        code = end.code
    if code:
        sys.exit(code)
    content = {"seconds": time.monotonic() - started, **peak_memory()}
    Path(report).write_text(json.dumps(content), encoding="utf-8")


def entry_point(command: str) -> tuple[Callable[[], Any], str]:
    """The function behind a command, and the name that it sees itself called by."""
    module, separator, function = command.partition(":")
    if separator:
        return getattr(importlib.import_module(module), function), function
    found = list(entry_points(group="console_scripts", name=command))
    if not found:
        sys.exit(f"no installed command {command}")
    return found[0].load(), command


def peak_memory() -> dict[str, Any]:
    """Peak memory of this process in GB: main memory (None where unknown), and the GPU's if one was used."""
    try:
        peak: float | None = peak_gigabytes()
    except OSError:
        peak = None
    torch = sys.modules.get("torch")
    used = torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized()
    return {"memory_gb": peak, "gpu_memory_gb": torch.cuda.max_memory_reserved() / 1e9 if torch and used else None}


if __name__ == "__main__":
    main(sys.argv[1:])

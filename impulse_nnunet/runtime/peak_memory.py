"""Peak memory of this process; ``ru_maxrss`` would start at the size of the process that forked this one."""

from __future__ import annotations

from pathlib import Path


def reset_peak() -> None:
    """Start to measure the peak from what is resident now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_gigabytes() -> float:
    """Largest resident memory since the last reset, or since the start (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e9
    raise OSError("/proc/self/status has no VmHWM; peak memory is measured on Linux only")

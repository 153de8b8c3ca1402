"""How much memory the cases of a training may take."""

from __future__ import annotations

import os
from pathlib import Path

SMALLEST_CACHE_BYTES = 2 * 1024**3
SHARE = 4  # the cache takes at most one part in so many of what is available
CONTROL_GROUPS = Path("/sys/fs/cgroup")


def cache_bytes(processes: int = 1) -> int:
    """Memory for decompressed cases in each of so many processes on this machine, bytes."""
    return max(SMALLEST_CACHE_BYTES, available_bytes() // (SHARE * max(1, processes)))


def available_bytes(statistics: Path = Path("/proc/meminfo"), groups: Path = Path("/proc/self/cgroup")) -> int:
    """Memory that this machine has to give, no more than the limit of the process's control group (job), bytes."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    for line in _lines(statistics):
        if line.startswith("MemAvailable:"):
            machine = int(line.split()[1]) * 1024
    return min([machine, *group_limits(_lines(groups), CONTROL_GROUPS)])


def group_limits(groups: list[str], root: Path) -> list[int]:
    """Memory limits of a process's control groups and those around them, bytes; versions 1 and 2.

    Args:
        groups: Lines of ``/proc/self/cgroup``: ``hierarchy:controllers:path``.
        root: Where the groups are mounted.
    """
    limits = []
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        base, name = (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        here = base / path.strip("/")
        for folder in (here, *here.parents):
            found = _lines(folder / name)
            limits += [int(found[0])] if found and found[0].isdecimal() else []
            if folder == base:
                break
    return limits


def _lines(path: Path) -> list[str]:
    """Lines of a file of the system; none where there is no such file, or no right to read it."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []

"""Cores that this process may use, not those that the machine has."""

from __future__ import annotations

import os

JOB_CPUS = ("SLURM_CPUS_PER_TASK", "LSB_DJOB_NUMPROC", "NSLOTS")  # Slurm, LSF, Grid Engine


def usable_cpus() -> int:
    """Cores that this process may use: those of its affinity mask, and no more than its job was given."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = [os.environ.get(name, "") for name in JOB_CPUS]
    return min([here, *[max(1, int(number)) for number in given if number.isdecimal()]])


def usable_threads() -> int:
    """Threads that this process may compute with: :func:`usable_cpus`, and no more than ``OMP_NUM_THREADS``."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(usable_cpus(), max(1, int(asked))) if asked.isdecimal() else usable_cpus()

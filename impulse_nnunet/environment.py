"""nnU-Net's environment variables: where the folders are and where the trainer is found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

FOLDERS = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
TRAINERS = "nnUNet_extTrainer"
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


def trainer_folder() -> Path:
    """The folder that ``nnUNet_extTrainer`` must name."""
    return Path(__file__).resolve().parent / "external_trainers"


def with_our_folder(value: str | None) -> str:
    """An ``nnUNet_extTrainer`` value with our folder in it; folders that stand there stay, ours comes last."""
    ours = str(trainer_folder())
    others = [folder for folder in (value or "").split(os.pathsep) if folder.strip() and folder != ours]
    return os.pathsep.join([*others, ours])


def needed_variables(environment: Mapping[str, str], base: Path) -> dict[str, str]:
    """Variables to set: the trainer folder always, nnU-Net's folders under ``base`` where they are unset."""
    needed = {TRAINERS: with_our_folder(environment.get(TRAINERS))}
    for name in FOLDERS:
        if not environment.get(name):
            needed[name] = str(base / name)
    return needed


def ensure_variables() -> None:
    """Make this process and its children find the trainer; call before nnU-Net is imported."""
    os.environ[TRAINERS] = with_our_folder(os.environ.get(TRAINERS))

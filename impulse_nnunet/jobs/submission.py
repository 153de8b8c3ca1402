"""Jobs on Slurm or on this machine, through submitit (the extra ``submit``)."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import InputError

logger = logging.getLogger(__name__)

SLURM, LOCAL = SCHEDULERS = ("slurm", "local")
REQUEUES = 100  # times that a job which ran out of time is started again; each time it goes on where it was
VISIBLE = "CUDA_VISIBLE_DEVICES"
Task = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What each job gets.

    Args:
        cpus: Cores.
        gpus: Devices.
        mem_gb: Memory.
        minutes: Longest run.
        at_once: Jobs that run at the same time.
        partition: Slurm's.
        account: Slurm's.
        more: Any other flag of sbatch, without dashes -> value.
    """

    cpus: int = 4
    gpus: int = 0
    mem_gb: float = 16
    minutes: int = 240
    at_once: int = 256
    partition: str | None = None
    account: str | None = None
    more: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value, least in (("cpus", self.cpus, 1), ("gpus", self.gpus, 0), ("at_once", self.at_once, 1)):
            if value < least:
                raise InputError(f"`{name}`", str(value), f"{least} or more", "correct it")
        if not self.mem_gb > 0:
            raise InputError("`mem_gb`", str(self.mem_gb), "more than 0", "correct it")


def minutes_of(text: str) -> int:
    """Minutes from ``90``, ``4:00:00`` or ``1-12:00:00``, rounded up.

    Raises:
        InputError: Anything else; ``4:00`` would be four minutes to Slurm and four hours to most readers.
    """
    found = re.fullmatch(r"(?:(?:(\d{1,3})-)?(\d{1,4}):(\d\d):(\d\d))|(\d{1,6})", text)
    days, hours, minutes, seconds, alone = found.groups() if found else (None,) * 5
    total = int(alone or 0) + 1440 * int(days or 0) + 60 * int(hours or 0) + int(minutes or 0) + (int(seconds or 0) > 0)
    if not total:
        raise InputError("`time`", repr(text), "minutes, H:MM:SS or D-HH:MM:SS", "e.g. `time` 4:00:00")
    return total


class Submission:
    """Submits tasks as one array and follows them.

    Args:
        scheduler: ``slurm`` or ``local``.
        folder: For logs; seen by every machine.
        resources: Resources of each job.

    Raises:
        InputError: submitit is not installed, or no such scheduler on this machine.
    """

    def __init__(self, scheduler: str, folder: Path, resources: Resources) -> None:
        try:
            import submitit
        except ImportError as error:
            raise InputError(
                "submitit", "it is not installed", "the package, to submit jobs", "pip install 'impulse-nnunet[submit]'"
            ) from error
        self.scheduler, self.folder, self.resources = scheduler, folder, resources
        try:
            kind = submitit.SlurmExecutor if scheduler == SLURM else submitit.LocalExecutor
            self.executor = kind(folder, max_num_timeout=REQUEUES)
        except RuntimeError as error:
            raise InputError(
                "`scheduler`",
                f"{scheduler}, but no srun on PATH",
                "a machine that submits to Slurm",
                "log in to one, or give `scheduler` local",
            ) from error

    def submit(self, name: str, tasks: Sequence[Task], after: str | None = None) -> list[Any]:
        """Submit tasks; returns submitit's jobs, in order.

        Args:
            name: Name of the jobs.
            tasks: At least one; each can be pickled and has ``checkpoint``.
            after: ID of an array that has to be over first, however it ended (Slurm).
        """
        if self.scheduler == LOCAL:
            gpus = shares_of_gpus(self.resources.gpus, len(tasks))
            return [self._start_here(task, share) for task, share in zip(tasks, gpus, strict=True)]
        self.executor.update_parameters(**self._parameters(name), dependency=after and f"afterany:{after}")
        return self._sent(lambda: self.executor.submit_array(tasks))

    def wait(self, jobs: Sequence[Any], poll_s: float = 5.0) -> dict[int, str]:
        """Wait until no job is queued or running; returns number -> what went wrong, of those that did not succeed."""
        while any(self._is_running(job) for job in (jobs[:1] if self.scheduler == SLURM else jobs)):
            time.sleep(poll_s)
        return {number: reason for number, job in enumerate(jobs) if (reason := _reason(job)) is not None}

    def _start_here(self, task: Task, gpus: Sequence[str]) -> Any:
        self.executor.update_parameters(timeout_min=self.resources.minutes, gpus_per_node=0)
        return self._sent(lambda: self.executor.submit(OnGpus(task, tuple(gpus)) if gpus else task))

    def _parameters(self, name: str) -> dict[str, Any]:
        given = self.resources
        parameters: dict[str, Any] = {
            "job_name": name,
            "time": given.minutes,
            "cpus_per_task": given.cpus,
            "mem": f"{given.mem_gb * 1024:.0f}M",
            "partition": given.partition,
            "account": given.account,
            "array_parallelism": given.at_once,
            "additional_parameters": {"requeue": True, **given.more},
        }
        return parameters | ({"gpus_per_node": given.gpus} if given.gpus else {})

    def _sent(self, send: Callable[[], Any]) -> Any:
        from submitit.core.utils import FailedJobError

        try:
            return send()
        except (FailedJobError, subprocess.CalledProcessError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                self.scheduler, f"a refusal ({reason})", "a submission", "correct the resources, or ask the cluster"
            ) from error

    def _is_running(self, job: Any) -> bool:
        """For Slurm the whole array is asked for, in squeue: sacct needs a data base that not every cluster has."""
        if self.scheduler == LOCAL:
            return not job.done()
        command = ["squeue", "--noheader", "--format=%i", f"--jobs={array_id(job)}"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        if asked.returncode:
            if "Invalid job id" in asked.stderr:  # so long over that Slurm has forgotten it
                return False
            logger.warning("squeue: %s; asking again", " ".join(asked.stderr.split())[:200])
            return True
        return bool(asked.stdout.strip())


def array_id(job: Any) -> str:
    """ID of the array that a job belongs to; of the job where it is alone."""
    return str(job.job_id).split("_")[0]


def _reason(job: Any) -> str | None:
    if not job.paths.result_pickle.exists():
        return f"it ended without a result (killed, or lost with its node); {job.paths.stderr}"
    error = job.exception()
    if error is None:
        return None
    lines = [line for line in str(error).splitlines() if re.match(r"\w+(Error|Exception): ", line)]
    return f"{lines[-1] if lines else type(error).__name__}; {job.paths.stderr}"


@dataclass(frozen=True)
class OnGpus:
    """A task that sees some of this machine's GPUs; submitit's own choice knows numbers only, and no UUIDs.

    Args:
        task: What to do; it has ``checkpoint``.
        gpus: Names of GPUs as ``CUDA_VISIBLE_DEVICES`` takes them.
    """

    task: Any
    gpus: tuple[str, ...]

    def __call__(self) -> None:
        """Do it; nothing in the job's process has asked for a GPU yet."""
        os.environ[VISIBLE] = ",".join(self.gpus)
        self.task()

    def checkpoint(self) -> Any:
        """What submitit asks for before it starts a job again: the same task on the same GPUs."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def shares_of_gpus(number: int, jobs: int) -> list[tuple[str, ...]]:
    """The GPUs of each job on this machine, ``number`` a job: the next ones, from the first again after the last.

    Only those that this process sees are shared out, by the names that ``CUDA_VISIBLE_DEVICES`` has for them.

    Raises:
        InputError: This process sees fewer.
    """
    if not number:
        return [()] * jobs
    import torch

    there, visible = torch.cuda.device_count(), os.environ.get(VISIBLE)
    names = [str(gpu) for gpu in range(there)] if visible is None else [name.strip() for name in visible.split(",")]
    if number > there:
        limits = "" if visible is None else f", and {VISIBLE} is {visible!r}"
        raise InputError("`gpus`", str(number), f"at most {there}, as this machine has{limits}", "correct it")
    return [tuple(names[(job * number + i) % there] for i in range(number)) for job in range(jobs)]

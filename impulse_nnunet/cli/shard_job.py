"""What a job of ``impulse_nnunet submit`` runs: one command of this command line, in the job's own process."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class ShardJob:
    """A call that the scheduler may start again at any time.

    Args:
        arguments: Arguments of ``impulse_nnunet``.
        cores: To stay on; empty: those that the scheduler gives.
    """

    arguments: tuple[str, ...]
    cores: tuple[int, ...] = ()

    def __call__(self) -> None:
        """Run the command.

        Raises:
            RuntimeError: It ended with another exit code than 0, so that the scheduler calls the job failed.
        """
        from impulse_nnunet.cli.main import main

        if self.cores:
            os.sched_setaffinity(0, self.cores)
        code = main(self.arguments)
        if code:
            raise RuntimeError(f"exit code {code} of: {self}")

    def checkpoint(self) -> Any:
        """What submitit asks for before it gives back a job, out of time or preempted: a call that resumes."""
        from submitit.helpers import DelayedSubmission

        rest = tuple(argument for argument in self.arguments if argument != "--overwrite")  # it has started over
        return DelayedSubmission(replace(self, arguments=rest))

    def __str__(self) -> str:
        return shlex.join(["impulse_nnunet", *self.arguments])

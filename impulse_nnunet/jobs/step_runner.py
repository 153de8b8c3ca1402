"""Running steps: one after the other, one process at a time for each, with a log, a lock and a line for people."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from impulse_nnunet.errors import InputError
from impulse_nnunet.jobs.content import by_variables
from impulse_nnunet.jobs.locks import locked
from impulse_nnunet.jobs.process import CommandError, run_command
from impulse_nnunet.jobs.record import BEGUN, CHANGED, DONE, NEW, Status
from impulse_nnunet.jobs.step import Step
from impulse_nnunet.runtime.signals import stoppable

START_OVER = "again, to start over"


@dataclass(frozen=True, kw_only=True)
class StepRunner:
    """Runs steps.

    Args:
        logs: Folder of the logs, one a step.
        say: Takes a line for the user.
        show: Takes a command's latest line, again and again while it runs; None shows none.
        overwrite: Start over: steps that are done are done again, their results set aside.
    """

    logs: Path
    say: Callable[[str], None]
    show: Callable[[str], None] | None = None
    overwrite: bool = False

    def explain(self, steps: Sequence[Step]) -> None:
        """Say what :meth:`run` would do; nothing is written."""
        undone: set[str] = set()
        for number, step in enumerate(steps, 1):
            status, before = self._status(step), sorted(undone & {other.name for other in step.after})
            if status.state == DONE and before:
                status = Status(CHANGED, ", ".join(f"after: {name}" for name in before))
            if status.state != DONE:
                undone.add(step.name)
            self.say(f"[{number}/{len(steps)}] {step.title}: {_in_words(status)}")
            for command in step.commands:
                self.say(f"        {by_variables(' '.join(command))}")

    def run(self, steps: Sequence[Step]) -> None:
        """Run the steps that are not done.

        Raises:
            InputError: A command failed; the steps before it are done.
            StopRequestedError: SIGTERM or Ctrl-C came; the command was asked to stop and has stopped.
        """
        with stoppable():
            for number, step in enumerate(steps, 1):
                self._run(step, f"[{number}/{len(steps)}] {step.title}")

    def _run(self, step: Step, head: str) -> None:
        busy = f"{head}: another call is at work on this step; waiting for it"
        with locked(step.record.with_suffix(".lock"), on_wait=partial(self.say, busy)) as lock:
            status = self._status(step)
            self.say(f"{head}: {_in_words(status)}")
            if status.state == DONE:
                return
            further = step.begin(status)
            started = time.monotonic()
            for position, command in enumerate(step.commands):
                last = position == len(step.commands) - 1
                self._command(step, (*command, *(further if last else ())), lock)
            step.finish(time.monotonic() - started)
            self.say(f"{head}: done in {_duration(time.monotonic() - started)}")

    def _status(self, step: Step) -> Status:
        status = step.status()
        return Status(CHANGED, START_OVER) if self.overwrite and status.state != NEW else status

    def _command(self, step: Step, command: Sequence[str], lock: int) -> None:
        """Run a command, which inherits the step's lock, so that it lasts as long as any of them."""
        log = self.logs / f"{step.name}.log"
        try:
            run_command(command, log, patience_s=step.patience_s, lock=lock, show=self.show)
        except CommandError as error:
            raise InputError(
                step.title,
                f"a failure of {command[0]} ({error.reason})",
                "its success",
                f"see {log}; the same call goes on from there",
            ) from error


def _in_words(status: Status) -> str:
    return {
        DONE: "done before",
        BEGUN: "goes on where an earlier call was interrupted",
        CHANGED: status.reason if status.reason == START_OVER else f"again, since this changed: {status.reason}",
        NEW: "to do",
    }[status.state]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"

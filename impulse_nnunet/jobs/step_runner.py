"""Running steps: one after the other, one process at a time for each, with a log, a lock and a line for people."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

from impulse_nnunet.environment import TRAINERS, with_our_folder
from impulse_nnunet.errors import InputError
from impulse_nnunet.files import last_line
from impulse_nnunet.jobs.locks import locked
from impulse_nnunet.jobs.step import BEGUN, CHANGED, DONE, NEW, Step, StepState, by_variables

LAUNCHER = (sys.executable, "-m", "impulse_nnunet.jobs.launch")
POLL_SECONDS = 1.0


@dataclass
class Runner:
    """Runs steps.

    Args:
        logs: Folder of the logs, one a step.
        say: Takes a line for the user.
        show: Takes a command's latest line, again and again while it runs; None shows none.
        launcher: Start of the command line that runs a step's command.
    """

    logs: Path
    say: Callable[[str], None]
    show: Callable[[str], None] | None = None
    launcher: tuple[str, ...] = LAUNCHER

    def explain(self, steps: Sequence[Step]) -> None:
        """Say what :meth:`run` would do; nothing is written."""
        undone: set[str] = set()
        for number, step in enumerate(steps, 1):
            state, before = step.state(), sorted(undone & {other.name for other in step.after})
            if state.state == DONE and before:
                state = StepState(CHANGED, ", ".join(f"after: {name}" for name in before))
            if state.state != DONE:
                undone.add(step.name)
            self.say(f"[{number}/{len(steps)}] {step.title}: {_in_words(state)}")
            for command in step.commands:
                self.say(f"        {by_variables(' '.join(command))}")

    def run(self, steps: Sequence[Step]) -> None:
        """Run the steps that are not done.

        Raises:
            InputError: A command failed; the steps before it are done.
            SystemExit: SIGTERM came; the command was asked to stop and has stopped.
        """
        for number, step in enumerate(steps, 1):
            head = f"[{number}/{len(steps)}] {step.title}"
            busy = f"{head}: another call is at work on this step; waiting for it"
            with locked(step.record.with_suffix(".lock"), on_wait=partial(self.say, busy)) as lock:
                state = step.state()
                if state.state == DONE:
                    self.say(f"{head}: {_in_words(state)}")
                    continue
                self.say(f"{head}: {_in_words(state)}")
                further = step.begin(state)
                started = time.monotonic()
                for position, command in enumerate(step.commands):
                    last = position == len(step.commands) - 1
                    self._command(step, (*command, *(further if last else ())), lock)
                step.finish(time.monotonic() - started)
                self.say(f"{head}: done in {_duration(time.monotonic() - started)}")

    def _command(self, step: Step, command: Sequence[str], lock: int) -> None:
        """Run a command, which inherits the step's lock, so that it lasts as long as any of them."""
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{step.name}.log"
        environment = os.environ | {TRAINERS: with_our_folder(os.environ.get(TRAINERS)), "PYTHONUNBUFFERED": "1"}
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"$ {' '.join(command)}\n")
            stream.flush()
            child = subprocess.Popen(
                [*self.launcher, *command], env=environment, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL,
                pass_fds=[lock],
            )  # fmt: skip
            with _handing_on_sigterm(child):
                self._wait(child, log)
        if child.returncode != 0:
            raise InputError(
                step.title, f"a failure of {command[0]} ({last_line(log)})", "its success",
                f"see {log}; the same call goes on from there",
            )  # fmt: skip

    def _wait(self, child: subprocess.Popen[bytes], log: Path) -> None:
        while True:
            try:
                child.wait(POLL_SECONDS)
                return
            except subprocess.TimeoutExpired:
                if self.show is not None:
                    self.show(last_line(log))
            except KeyboardInterrupt:  # the terminal sent it to the command as well
                child.wait()
                raise


@contextmanager
def _handing_on_sigterm(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """SIGTERM goes on to the command, which saves what it can; then this process ends too."""
    asked = False

    def hand_on(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        child.terminate()

    before = signal.signal(signal.SIGTERM, hand_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if asked:
            child.wait()
            raise SystemExit(128 + signal.SIGTERM)


def _in_words(state: StepState) -> str:
    return {
        DONE: "done before",
        BEGUN: "goes on where an earlier call was interrupted",
        CHANGED: f"again, since this changed: {state.reason}",
        NEW: "to do",
    }[state.state]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"

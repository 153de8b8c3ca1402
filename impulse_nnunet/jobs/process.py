"""Running a command in a process of its own, with a log; it ends with this process, and may save its state first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from impulse_nnunet.io.files import last_line
from impulse_nnunet.runtime.environment import TRAINERS, with_our_folder

CHILD = "impulse_nnunet.jobs.child"
SHORT_PATIENCE_S, LONG_PATIENCE_S = 5.0, 120.0  # the long one for trainings, which save their state
POLL_S = 1.0
GROUP_POLL_S = 0.1


class CommandError(Exception):
    """A command failed.

    Args:
        command: Its name.
        code: With which it ended.
        log: Where its output is.
    """

    def __init__(self, command: str, code: int, log: Path) -> None:
        self.command, self.code, self.log, self.reason = command, code, log, last_line(log)
        super().__init__(command, code, log)

    def __str__(self) -> str:
        return f"{self.command} ended with exit code {self.code}: {self.reason} (log: {self.log})"


def run_command(
    command: Sequence[str],
    log: Path,
    *,
    name: str | None = None,
    patience_s: float = SHORT_PATIENCE_S,
    lock: int | None = None,
    show: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run an installed command, or ``module:function``, with arguments.

    Should this call be stopped (an exception while it waits), the command gets SIGTERM and ``patience_s``; then it is
    killed with all its processes. Should this process be killed, the command notices and does the same by itself.

    Args:
        command: Name and arguments.
        log: File that its output is appended to; folders are made.
        name: Name of the command in errors; its first word by default.
        patience_s: That it gets to save its state.
        lock: Descriptor of a held lock file that the command shall hold as well.
        show: Takes the latest line of the log, again and again.

    Returns:
        ``seconds``, ``memory_gb`` and ``gpu_memory_gb`` at the peak (None where unknown).

    Raises:
        CommandError: It ended with another exit code than 0.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    report = log.with_name(f"{log.name}.json")  # NAME.json beside it may be the command's work
    report.unlink(missing_ok=True)
    start = [sys.executable, "-m", CHILD, str(os.getpid()), str(patience_s), str(report)]
    environment = os.environ | {TRAINERS: with_our_folder(os.environ.get(TRAINERS)), "PYTHONUNBUFFERED": "1"}
    with log.open("ab") as stream:
        stream.write(f"$ {' '.join(command)}\n".encode())
        stream.flush()
        child = subprocess.Popen(
            [*start, *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=() if lock is None else (lock,),
        )
        try:
            code = _wait(child, log, show)
        except BaseException:
            _end(child, patience_s)
            raise
    if code != 0:
        raise CommandError(name or command[0], code, log)
    return dict(json.loads(report.read_text(encoding="utf-8")))


def _wait(child: subprocess.Popen[bytes], log: Path, show: Callable[[str], None] | None) -> int:
    if show is None:
        return child.wait()
    while True:
        try:
            return child.wait(POLL_S)
        except subprocess.TimeoutExpired:
            show(last_line(log))


def _end(child: subprocess.Popen[bytes], patience_s: float) -> None:
    """Ask the command to stop; when it and its workers have had their time, kill what is left of the group."""
    end = time.monotonic() + patience_s
    if patience_s > 0:
        child.terminate()
    while time.monotonic() < end and _group_exists(child):
        time.sleep(GROUP_POLL_S)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _group_exists(child: subprocess.Popen[bytes]) -> bool:
    child.poll()
    try:
        os.killpg(child.pid, 0)
    except ProcessLookupError:
        return False
    return True

"""Starting a measured command, with a log, and ending it with this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from impulse_nnunet.files import last_line

PATIENCE_S = 120.0  # that a command gets to keep its state
MODULE = "impulse_nnunet.jobs.child"


class CommandError(Exception):
    """A command failed; the text says with what, and where its log lies."""


class StoppedError(Exception):
    """SIGTERM or Ctrl-C ended this call; commands had time to keep their state."""


def run_measured(target: str, arguments: Sequence[str], folder: Path, name: str, lock: int | None = None) -> dict:
    """Run ``module:function`` with command line arguments in a process of its own.

    Args:
        target: ``module:function`` of an entry point.
        arguments: Of the command.
        folder: Where ``NAME.log`` is continued and ``NAME.json`` is written.
        name: Of log and report.
        lock: Descriptor of a held lock file that the command shall hold as well.

    Returns:
        ``seconds``, ``memory_gb`` and ``gpu_memory_gb`` (None where unknown).

    Raises:
        CommandError: It ended with another exit code than 0.
        StoppedError: This process was asked to stop.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log, report = folder / f"{name}.log", folder / f"{name}.json"
    report.unlink(missing_ok=True)
    with log.open("ab") as stream:
        stream.write(f"$ {target} {' '.join(arguments)}\n".encode())
        stream.flush()
        child = subprocess.Popen(
            [sys.executable, "-m", MODULE, str(report), target, *arguments],
            stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True,
            pass_fds=() if lock is None else (lock,), env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            code = child.wait()
        except BaseException:
            _end(child)
            raise
    if code != 0:
        raise CommandError(f"{name} ended with exit code {code}: {last_line(log)} (log: {log})")
    return dict(json.loads(report.read_text(encoding="utf-8")))


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn SIGTERM and Ctrl-C into :class:`StoppedError` while the block runs, in the main thread."""

    def stop(number: int, frame: FrameType | None) -> Any:
        raise StoppedError(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()

"""Commands that are killed at moments drawn from a seed, called again, and compared with an undisturbed run.

A fork server holds all imports, so that a call begins to work at once and the moments fall into the work. Each call is
a process of its own, the leader of a new session; a kill hits it alone or with all its workers, as a scheduler would.
"""

from __future__ import annotations

import faulthandler
import importlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

GRACE_S = 30.0  # from SIGTERM to the end, as schedulers give
LONGEST_S = 900.0  # that any call here may take on a busy machine
ORPHANS_S = 15.0  # that workers may outlive a killed process
PRELOAD = [
    "impulse_nnunet.cli.main",
    "impulse_nnunet.trainers",
    "impulse_nnunet.nnunet.planning",
    "impulse_nnunet.lungs.build",
    "impulse_nnunet.nnunet.predictor",
    "impulse_nnunet.evaluation.folder",
    "impulse_nnunet.evaluation.summary",
    "nnunetv2.run.run_training",
    "matplotlib.pyplot",
]


def fork_server() -> multiprocessing.context.ForkServerContext:
    """The context whose processes have everything imported."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin starve each other on a busy machine
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


@dataclass(frozen=True)
class Call:
    """One call of a command.

    Args:
        module: Where its entry point is.
        function: The entry point.
        arguments: As on the command line, without the command.
    """

    module: str
    function: str
    arguments: tuple[str, ...]

    def start(self, environment: dict[str, str], log: Path) -> multiprocessing.context.ForkServerProcess:
        """Start it; its output is appended to ``log``."""
        process = fork_server().Process(target=_run, args=(self, environment, str(log)))
        process.start()
        return process


def impulse(*arguments: object) -> Call:
    """A call of ``impulse_nnunet``."""
    return Call("impulse_nnunet.cli.main", "main", tuple(map(str, arguments)))


def train(*arguments: object) -> Call:
    """A call of ``nnUNetv2_train``."""
    return Call("nnunetv2.run.run_training", "run_training_entry", tuple(map(str, arguments)))


def _run(call: Call, environment: dict[str, str], log: str) -> None:
    os.setsid()
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(target, 1), os.dup2(target, 2)
    faulthandler.enable(file=sys.__stderr__)
    faulthandler.register(signal.SIGUSR1, file=sys.__stderr__, all_threads=True)  # asked when a call takes too long
    os.environ.update(environment)
    sys.argv = [call.function, *call.arguments]
    try:
        code = getattr(importlib.import_module(call.module), call.function)()
    except Exception:  # noqa: BLE001  what would end the interpreter, with its message
        code = 1
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush(), sys.stderr.flush()
    raise SystemExit(code)


@dataclass(frozen=True)
class Subject:
    """What is disturbed.

    Args:
        name: For the figures.
        calls: ``calls(folder, again)``: the call, or the one after an interruption, that works into a folder.
        result: What a finished run left in the folder, to be compared with ``==``.
        check: Raises if something half-written stands in the folder after a kill.
        prepare: Brings a new folder to where the call begins.
        environment: Of the calls, by folder.
        stage: What was going on, read from the folder and the log at the moment of a kill.
    """

    name: str
    calls: Callable[[Path, bool], Call]
    result: Callable[[Path], object]
    environment: Callable[[Path], dict[str, str]]
    check: Callable[[Path], None] = lambda folder: None
    prepare: Callable[[Path], None] = lambda folder: None
    stage: Callable[[Path, str], str] = lambda folder, log: ""


@dataclass(frozen=True)
class Fault:
    """One kill that hit a running process.

    Args:
        subject: Name of the subject, with the stage.
        kind: SIGKILL or SIGTERM, and whether workers were hit too.
        moment_s: After the start.
        seconds: Until the process was gone.
    """

    subject: str
    kind: str
    moment_s: float
    seconds: float


@dataclass
class Trial:
    """A run with faults.

    Args:
        subject: Name of the subject.
        faults: That it met.
        lost: What went wrong; empty if nothing did.
    """

    subject: str
    faults: list[Fault] = field(default_factory=list)
    lost: str = ""


class Harness:
    """Runs subjects undisturbed and disturbed.

    Args:
        folder: For the runs.
        seed: Of the moments and signals.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.rng = folder, random.Random(seed)
        self.wanted: dict[str, object] = {}
        self.seconds: dict[str, float] = {}
        self.number = 0

    def undisturbed(self, subject: Subject) -> object:
        """The result of a run that nothing disturbs; made once, together with the time that it takes."""
        if subject.name not in self.wanted:
            folder, log = self._new(subject)
            code, seconds = self._to_the_end(subject, folder, log, again=False)
            if code != 0:
                raise RuntimeError(f"{subject.name}: exit code {code}\n{log.read_text()[-3000:]}")
            self.seconds[subject.name] = seconds
            self.wanted[subject.name] = subject.result(folder)
        return self.wanted[subject.name]

    def disturbed(
        self, subject: Subject, faults: int, moments: Sequence[float] | None = None, kinds: Sequence[str] | None = None
    ) -> Trial:
        """A run that meets some faults, then one more call; what it lost is said, not raised.

        Args:
            subject: To run.
            faults: Kills.
            moments: Of the kills, as shares of an undisturbed run; drawn by default.
            kinds: SIGTERM, SIGKILL, or SIGKILL+workers; drawn by default.
        """
        wanted, trial = self.undisturbed(subject), Trial(subject.name)
        folder, log = self._new(subject)
        scale = self.seconds[subject.name]
        try:
            for number in range(faults):
                moment = self.rng.random() if moments is None else moments[number]
                kind = self.rng.choice(["SIGTERM", "SIGKILL", "SIGKILL+workers"]) if kinds is None else kinds[number]
                while not self._kill(subject, folder, log, moment * scale, kind, trial) and moments and scale > 1:
                    scale /= 2  # the machine is faster than it was in the undisturbed run
                    if not trial.faults:
                        folder, log = self._new(subject)
            code, _ = self._to_the_end(subject, folder, log, again=bool(trial.faults))
            if code != 0:
                trial.lost = f"the call after the kills ended with {code}"
            elif subject.result(folder) != wanted:
                trial.lost = "the result is another one than that of an undisturbed run"
        except (AssertionError, OSError, RuntimeError, EOFError, ValueError) as error:
            trial.lost = f"{type(error).__name__}: {error}"
        if trial.lost:
            trial.lost += f"\n{folder}\n{log.read_text()[-2000:]}"
        else:
            shutil.rmtree(folder.parent, ignore_errors=True)
        return trial

    def _kill(self, subject: Subject, folder: Path, log: Path, moment_s: float, kind: str, trial: Trial) -> bool:
        """Kill a call at a moment; false if it had ended by then."""
        process = subject.calls(folder, bool(trial.faults)).start(subject.environment(folder), log)
        _wait(process, moment_s)
        if process.exitcode is not None:
            _expect(process.exitcode == 0, f"a call before the kill ended with {process.exitcode}")
            return False
        stage = subject.stage(folder, log.read_text())
        with suppress(ProcessLookupError):
            (os.killpg if "+" in kind else os.kill)(process.pid, getattr(signal, kind.partition("+")[0]))
        seconds = _wait(process, GRACE_S)
        if process.exitcode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
            raise RuntimeError(f"not gone {GRACE_S} s after {kind}")
        _wait_for_orphans(process.pid)
        trial.faults.append(Fault(subject.name + (f", {stage}" if stage else ""), kind, moment_s, seconds))
        subject.check(folder)
        return True

    def _to_the_end(self, subject: Subject, folder: Path, log: Path, again: bool) -> tuple[int, float]:
        process = subject.calls(folder, again).start(subject.environment(folder), log)
        seconds = _wait(process, LONGEST_S)
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGUSR1)
            process.join(2)
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
            raise RuntimeError(f"not done after {LONGEST_S} s")
        return process.exitcode, seconds

    def _new(self, subject: Subject) -> tuple[Path, Path]:
        self.number += 1
        base = self.folder / f"{self.number:04d}_{subject.name.replace(' ', '_')}"
        folder = base / "run"
        folder.mkdir(parents=True)
        subject.prepare(folder)
        (base / "log.txt").touch()
        return folder, base / "log.txt"


def _wait(process: multiprocessing.process.BaseProcess, limit_s: float) -> float:
    """Wait for a process; returns the seconds waited. A machine that stood still meanwhile does not count."""
    waited, before = 0.0, time.monotonic()
    while waited < limit_s and process.exitcode is None:
        process.join(min(0.2, limit_s - waited))
        now = time.monotonic()
        waited, before = waited + min(now - before, 1.0), now
    return waited


def _wait_for_orphans(session: int) -> None:
    """Workers of a killed process must end by themselves."""
    for _ in range(int(ORPHANS_S / 0.2)):
        if not _alive(session):
            return
        time.sleep(0.2)
    left = _alive(session)
    os.killpg(session, signal.SIGKILL)
    raise RuntimeError(f"workers went on {ORPHANS_S} s after their process was killed: {left}")


def _alive(session: int) -> list[str]:
    """Command lines of a session's processes; what is dead and not yet reaped does not count."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _, _, own = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(own) == session and state not in "ZX":
                found.append((folder / "cmdline").read_text().replace("\0", " ")[-200:])
    return found


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise RuntimeError(message)

"""A Slurm of one's own: munged, slurmctld and two slurmd on this machine, in one folder, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scontrol", "srun")
NODE = "CPUs=1 RealMemory=4000 State=UNKNOWN"
CONFIGURATION = """
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller_port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
StateSaveLocation={folder}/state
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdLogFile={folder}/slurmd.%n.log
SlurmdSpoolDir={folder}/spool.%n
SlurmdParameters=config_overrides
SlurmdTimeout=10
SlurmctldTimeout=10
KillWait=3
JobRequeue=1
ReturnToService=2
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SchedulerParameters=sched_interval=5,batch_sched_delay=0
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=60 State=UP
"""


def missing_programs() -> list[str]:
    """What of Slurm is not installed here (Debian: slurm-wlm, munge)."""
    path = os.environ["PATH"] + os.pathsep + "/usr/sbin"
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


class PrivateSlurm:
    """Starts on entry, ends on exit; ``environment`` makes sbatch, squeue and srun find it.

    Args:
        folder: Empty; holds configuration, keys and logs.
        nodes: slurmd processes, each a node with one CPU.
    """

    def __init__(self, folder: Path, nodes: int = 2) -> None:
        self.folder, self.nodes = folder, [f"n{number}" for number in range(1, nodes + 1)]
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SBATCH", "SQUEUE"))}
        self.environment["SLURM_CONF"] = str(folder / "slurm.conf")
        self.environment["PATH"] += os.pathsep + "/usr/sbin"
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> PrivateSlurm:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        (self.folder / "state").mkdir()
        ports = _free_ports(1 + len(self.nodes))
        nodes = [
            f"NodeName={name} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={port} {NODE}"
            for name, port in zip(self.nodes, ports[1:], strict=True)
        ]
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=socket.gethostname(), controller_port=ports[0], folder=self.folder, nodes="\n".join(nodes)
            )
        )
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        own = [
            f"--{name}={self.folder}/munge.{end}"
            for name, end in (
                ("key-file", "key"),
                ("socket", "socket"),
                ("log-file", "log"),
                ("pid-file", "pid"),
                ("seed-file", "seed"),
            )
        ]
        self._launch("munged", "munged", "-F", "--force", *own)
        self.until(lambda: (self.folder / "munge.socket").exists(), "munged")
        self._launch("slurmctld", "slurmctld", "-D")
        for name in self.nodes:
            self.start_node(name)
        self.until(lambda: self.states() == dict.fromkeys(self.nodes, "idle"), "the nodes")

    def start_node(self, name: str) -> None:
        """Start a node's slurmd."""
        self._launch(name, "slurmd", "-D", "-N", name)

    def kill_node(self, name: str) -> None:
        """End a node as a power cut does: its slurmd and every process of its jobs, by SIGKILL, at once."""
        slurmd = self.daemons.pop(name)
        doomed = [slurmd.pid, *self._jobs_of(name)]
        _signal(doomed, signal.SIGSTOP)  # none of them sees another one die
        _signal(doomed, signal.SIGKILL)
        slurmd.wait()

    def start_requeued(self) -> None:
        """Slurm lets a requeued job wait for two minutes; a test does not."""
        for line in self.run("squeue", "-h", "-r", "-o", "%i %r", check=False).stdout.splitlines():
            job, _, reason = line.partition(" ")
            if reason == "BeginTime":
                self.run("scontrol", "update", f"JobId={job}", "StartTime=now", check=False)

    def states(self) -> dict[str, str]:
        """Node -> state, as sinfo has it."""
        shown = self.run("sinfo", "-h", "-N", "-o", "%N %t", check=False).stdout
        return dict(line.split() for line in shown.splitlines())

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of Slurm's commands."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=check)

    def stop(self) -> None:
        """End everything that was started, jobs first."""
        if "slurmctld" in self.daemons:
            self.run("scancel", "--signal=KILL", "--user=root", check=False)
            self.run("scancel", "--user=root", check=False)
        for name in self.nodes:
            if name in self.daemons:
                _signal(self._jobs_of(name), signal.SIGKILL)
        for daemon in reversed(list(self.daemons.values())):
            daemon.terminate()
        for daemon in reversed(list(self.daemons.values())):
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.daemons.clear()

    def _launch(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not condition():
            for name, daemon in self.daemons.items():
                if daemon.poll() is not None:
                    raise RuntimeError(f"{name} ended: {(self.folder / f'{name}.out').read_text()[-500:]}")
            if time.monotonic() > end:
                raise RuntimeError(f"{what} not ready after {seconds} s; logs in {self.folder}")
            time.sleep(0.2)

    def _jobs_of(self, node: str) -> list[int]:
        """Processes of a node's jobs, by what their environment says, and the slurmstepd above each of them."""
        marks = {f"SLURM_CONF={self.folder}/slurm.conf".encode(), f"SLURMD_NODENAME={node}".encode()}
        inside = {pid for pid in _all_processes() if marks <= set(_read(pid, "environ").split(b"\0"))}
        parents = {int(_read(pid, "stat").rpartition(b")")[2].split()[1]) for pid in inside if _read(pid, "stat")}
        steps = {pid for pid in parents - inside if _read(pid, "cmdline").startswith(b"slurmstepd")}
        return sorted(steps) + sorted(inside)


def _signal(processes: list[int], number: int) -> None:
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _all_processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) != os.getpid()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:
        return b""  # it has ended


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()

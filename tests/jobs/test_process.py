"""Commands in processes of their own."""

import os
import signal
import subprocess
import sys
import time

import pytest

from impulse_nnunet.jobs.process import CHILD, CommandError, run_command

JOBS = """
import os, pathlib, sys, time
def well():
    block = bytearray(200_000_000)
    print("arguments", sys.argv[1:])
def badly():
    print("about to fail")
    raise SystemExit("there is no data")
def with_worker():
    import subprocess
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pathlib.Path(sys.argv[1]).write_text(str(worker.pid))
    time.sleep(60)
def saves():
    import signal
    def save(number, frame):
        pathlib.Path(sys.argv[1]).with_suffix(".saved").write_text("")
        raise SystemExit(143)
    signal.signal(signal.SIGTERM, save)
    long()
def good_end():
    raise SystemExit(0)
def long():
    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
    time.sleep(60)
"""


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    (tmp_path / "made_up_jobs.py").write_text(JOBS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    return tmp_path


def test_a_command_gets_its_arguments_and_is_measured(jobs):
    measured = run_command(["made_up_jobs:well", "-d", "5"], jobs / "logs/job.log")
    assert "arguments ['-d', '5']" in (jobs / "logs/job.log").read_text()
    assert 0.2 < measured["memory_gb"] < 2  # the block, and Python itself
    assert measured["seconds"] > 0
    assert measured["gpu_memory_gb"] is None


def test_a_file_of_the_command_beside_its_log_stays(jobs):
    (jobs / "job.json").write_text("the command's")
    run_command(["made_up_jobs:good_end"], jobs / "job.log")
    assert (jobs / "job.json").read_text() == "the command's"


def test_a_failure_names_its_last_line_and_log(jobs):
    with pytest.raises(CommandError, match=r"job ended with exit code 1: there is no data \(log: .*job.log\)"):
        run_command(["made_up_jobs:badly"], jobs / "logs/job.log", name="job")
    assert not (jobs / "logs/job.log.json").exists()


def test_a_command_ends_when_its_caller_is_killed(jobs):
    marker = jobs / "pid"
    code = (
        "import pathlib\nfrom impulse_nnunet.jobs.process import run_command\n"
        f"run_command(['made_up_jobs:long', {str(marker)!r}], pathlib.Path({str(jobs / 'job.log')!r}))"
    )
    caller = subprocess.Popen([sys.executable, "-c", code])
    _wait_for(lambda: marker.exists() and marker.read_text())
    child = int(marker.read_text())
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    _wait_for(lambda: not _runs(child))


def test_sigterm_of_the_caller_reaches_the_command(jobs):
    marker = jobs / "pid"
    code = (
        "import pathlib, sys\nfrom impulse_nnunet.jobs.process import run_command\n"
        "from impulse_nnunet.runtime.signals import StopRequestedError, stoppable\n"
        "try:\n    with stoppable():\n"
        f"        run_command(['made_up_jobs:long', {str(marker)!r}], pathlib.Path({str(jobs / 'job.log')!r}))\n"
        "except StopRequestedError:\n    sys.exit(7)"
    )
    caller = subprocess.Popen([sys.executable, "-c", code])
    _wait_for(lambda: marker.exists() and marker.read_text())
    caller.terminate()
    assert caller.wait() == 7
    assert not _runs(int(marker.read_text()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_of_a_command_without_patience_end_with_the_caller(jobs, number):
    caller, worker = start(jobs, "with_worker", patience_s=0.0)
    caller.send_signal(number)
    caller.wait()
    _wait_for(lambda: not _runs(worker))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_command_may_save_its_state(jobs, number):
    caller, _ = start(jobs, "saves", patience_s=60.0)
    caller.send_signal(number)
    assert caller.wait() == (-number if number == signal.SIGKILL else 128 + number)
    _wait_for(lambda: (jobs / "pid.saved").exists())


def test_a_command_that_does_not_end_is_killed_after_its_time(jobs):
    (jobs / "made_up_jobs.py").write_text(JOBS.replace("raise SystemExit(143)", "pass"))
    caller, command = start(jobs, "saves", patience_s=0.5)
    caller.terminate()
    assert caller.wait() == 143
    _wait_for(lambda: not _runs(command))


def test_exit_code_0_is_a_good_end_however_it_came(jobs):
    assert run_command(["made_up_jobs:good_end"], jobs / "job.log")["seconds"] > 0


def test_a_command_that_is_not_installed(jobs):
    with pytest.raises(CommandError, match="no_such_command ended with exit code 1: no installed command no_such_comm"):
        run_command(["no_such_command"], jobs / "job.log")


def start(jobs, function, patience_s):
    """A caller of a command, and the process that the command names in a file."""
    marker = jobs / "pid"
    code = (
        "import pathlib\nfrom impulse_nnunet.jobs.process import run_command\n"
        "from impulse_nnunet.runtime.signals import stoppable\nwith stoppable():\n"
        f"    run_command(['made_up_jobs:{function}', {str(marker)!r}], pathlib.Path({str(jobs / 'job.log')!r}), "
        f"patience_s={patience_s})"
    )
    caller = subprocess.Popen([sys.executable, "-c", code])
    _wait_for(lambda: marker.exists() and marker.read_text())
    return caller, int(marker.read_text())


def test_the_module_can_be_run_by_name():
    assert subprocess.run([sys.executable, "-c", f"import {CHILD}"], check=False).returncode == 0


def _runs(process):
    try:
        with open(f"/proc/{process}/stat") as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)

"""Steps run real commands here: small Python files that write what the tests then look at."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.jobs.step import Step
from impulse_nnunet.jobs.step_runner import Runner


@pytest.fixture
def script(tmp_path):
    """A command that appends its arguments to a file, and fails where it is told to."""
    path = tmp_path / "script.py"
    path.write_text(
        "import pathlib, sys\n"
        "target = pathlib.Path(sys.argv[1])\n"
        "target.parent.mkdir(exist_ok=True, parents=True)\n"
        "target.open('a').write(' '.join(sys.argv[2:]) + '\\n')\n"
        "print('working')\n"
        "if 'fail' in sys.argv: sys.exit('it went wrong')\n"
    )
    return str(path)


@pytest.fixture
def runner(tmp_path):
    lines = []
    runner = Runner(tmp_path / "logs", lines.append, launcher=(sys.executable,))
    runner.lines = lines
    return runner


def step(tmp_path, script, name="a", words=("once",), **more):
    product = tmp_path / name / "product.txt"
    more = {"products": (product,), "owned": (product,)} | more
    return Step(name, f"step {name}", ((script, str(product), *words),), tmp_path / f"{name}.json", **more)


def content(tmp_path, name="a"):
    return (tmp_path / name / "product.txt").read_text()


def test_a_step_runs_once(tmp_path, script, runner):
    for _ in range(2):
        runner.run([step(tmp_path, script)])
    assert content(tmp_path) == "once\n"
    assert runner.lines[-1] == "[1/1] step a: done before"
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["state"] == "done"
    assert set(record["key"]["versions"]) == {"impulse_nnunet", "nnunetv2", "torch"}


def test_a_changed_setting_redoes_the_step_and_what_depends_on_it_and_keeps_the_old_result(tmp_path, script, runner):
    def chain(value):
        first = step(tmp_path, script, "a", facts=lambda: {"epochs": value})
        return [first, step(tmp_path, script, "b", after=(first,)), step(tmp_path, script, "c")]

    runner.run(chain(1))
    runner.explain(chain(2))
    told = [line for line in runner.lines if "again" in line]
    del runner.lines[:]
    runner.run(chain(2))
    assert "[1/3] step a: again, since this changed: settings: epochs" in runner.lines
    assert "[2/3] step b: again, since this changed: after: a" in runner.lines
    assert "[3/3] step c: done before" in runner.lines
    assert told == [line for line in runner.lines if "again" in line]
    assert content(tmp_path) == content(tmp_path, "b") == "once\n"
    kept = list((tmp_path / "superseded").glob("*/product.txt"))
    assert kept
    assert all(path.read_text() == "once\n" for path in kept)


def test_changed_sources_are_seen(tmp_path, script, runner):
    source, folder = tmp_path / "source.txt", tmp_path / "images"
    folder.mkdir()
    source.write_text("1")
    wanted = step(tmp_path, script, sources=(source, folder))
    runner.run([wanted])
    assert wanted.state().state == "done"
    os.utime(source, (1, 1))  # another time, the same content
    assert wanted.state().state == "done"
    (folder / "new.nii.gz").write_text("x")
    assert wanted.state().reason == f"sources: {folder}"
    (folder / "new.nii.gz").unlink()
    source.write_text("2")
    assert wanted.state().reason == f"sources: {source}"


def test_moved_folders_are_the_same_folders(tmp_path, script, runner, monkeypatch):
    for place in ("here", "there"):
        (tmp_path / place / "raw").mkdir(parents=True)
        monkeypatch.setenv("nnUNet_raw", str(tmp_path / place / "raw"))
        if place == "there":
            (tmp_path / "here" / "raw" / "a").rename(tmp_path / "there" / "raw" / "a")
            (tmp_path / "here" / "a.json").rename(tmp_path / "there" / "a.json")
        wanted = Step(
            "a", "step a", ((script, str(tmp_path / place / "raw" / "a" / "product.txt")),),
            tmp_path / place / "a.json", sources=(tmp_path / place / "raw" / "dataset.json",),
        )  # fmt: skip
        runner.run([wanted])
    assert runner.lines[-1] == "[1/1] step a: done before"


def test_a_lost_product_is_made_again(tmp_path, script, runner):
    runner.run([step(tmp_path, script)])
    (tmp_path / "a" / "product.txt").unlink()
    runner.run([step(tmp_path, script)])
    assert content(tmp_path) == "once\n"


def test_a_result_of_someone_else_is_refused_and_stays(tmp_path, script, runner):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "product.txt").write_text("mine")
    with pytest.raises(InputError, match=r"product\.txt: found a result that this command did not make, expected none"):
        runner.run([step(tmp_path, script)])
    assert content(tmp_path) == "mine"


def test_a_failure_names_the_log_and_the_next_call_goes_on(tmp_path, script, runner):
    first = step(tmp_path, script, "a")
    with pytest.raises(InputError, match=r"step b: found a failure of .*script\.py \(it went wrong\).*b\.log"):
        runner.run([first, step(tmp_path, script, "b", words=("fail",), after=(first,), go_on=("--c",))])
    assert (tmp_path / "logs" / "b.log").read_text().endswith("working\nit went wrong\n")
    again = step(tmp_path, script, "b", words=("fail",), after=(first,), go_on=("--c",))
    assert again.state().state == "begun"
    with pytest.raises(InputError):
        runner.run([first, again])
    assert content(tmp_path, "b") == "fail\nfail --c\n"  # with the argument that goes on, and the first part kept
    assert content(tmp_path) == "once\n"


def test_a_command_that_replaces_its_own_result_is_told_to(tmp_path, script, runner):
    def wanted(value, words=("once",)):
        return step(tmp_path, script, words=words, facts=lambda: {"v": value}, owned=(), anew=("--overwrite",))

    runner.run([wanted(1)])
    with pytest.raises(InputError):
        runner.run([wanted(2, ("fail",))])
    with pytest.raises(InputError):  # interrupted before it could replace anything: still to be told
        runner.run([wanted(2, ("fail",))])
    assert content(tmp_path) == "once\nfail --overwrite\nfail --overwrite\n"


def test_what_an_interrupted_step_left_is_cleared_where_it_cannot_go_on(tmp_path, script, runner):
    broken = step(tmp_path, script, words=("fail",))
    for _ in range(2):
        with pytest.raises(InputError):
            runner.run([broken])
    assert content(tmp_path) == "fail\n"


def test_a_missing_product_is_no_success(tmp_path, script, runner):
    with pytest.raises(InputError, match=r"found no .*other\.txt after its commands"):
        runner.run([step(tmp_path, script, products=(tmp_path / "other.txt",))])
    assert step(tmp_path, script).read()["state"] == "begun"


def test_a_dry_run_writes_nothing(tmp_path, script, runner):
    runner.explain([step(tmp_path, script)])
    assert runner.lines[0] == "[1/1] step a: to do"
    assert runner.lines[1].strip().endswith("product.txt once")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["script.py"]


SLOW = """
import pathlib, signal, sys, time
def stop(number, frame):
    pathlib.Path(sys.argv[1] + ".stopped").write_text("saved")
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
pathlib.Path(sys.argv[1] + ".running").write_text("")
time.sleep(60)
"""
DRIVER = """
import sys
from pathlib import Path
from impulse_nnunet.jobs.step import Step
from impulse_nnunet.jobs.step_runner import Runner
base = Path(sys.argv[1])
launcher = (sys.executable, "-c", "import runpy, sys; from impulse_nnunet.jobs.launch import end_with_parent;"
            " end_with_parent(); sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')")
step = Step("a", "step a", ((str(base / "slow.py"), str(base / "x")),), base / "a.json")
Runner(base / "logs", print, launcher=launcher).run([step])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stop_reaches_the_command(tmp_path, number):
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "driver.py").write_text(DRIVER)
    driver = subprocess.Popen([sys.executable, str(tmp_path / "driver.py"), str(tmp_path)])
    _wait_for(tmp_path / "x.running")
    driver.send_signal(number)
    assert driver.wait(20) == (128 + number if number == signal.SIGTERM else -number)
    if number == signal.SIGTERM or sys.platform == "linux":
        _wait_for(tmp_path / "x.stopped")


def _wait_for(path):
    for _ in range(400):
        if path.exists():
            return
        time.sleep(0.05)
    raise TimeoutError(path)

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
from impulse_nnunet.jobs.step_runner import StepRunner

SCRIPT = """
import pathlib, signal, sys, time
def write():
    target = pathlib.Path(sys.argv[1])
    target.parent.mkdir(exist_ok=True, parents=True)
    with target.open('a') as stream:
        stream.write(' '.join(sys.argv[2:]) + '\\n')
    print('working')
    if 'fail' in sys.argv: sys.exit('it went wrong')
def wait():
    def stop(number, frame):
        pathlib.Path(sys.argv[1] + ".stopped").write_text("saved")
        sys.exit(143)
    signal.signal(signal.SIGTERM, stop)
    pathlib.Path(sys.argv[1] + ".running").write_text("")
    time.sleep(60)
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A command that appends its arguments to a file, and fails where it is told to."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "made_up_commands.py").write_text(SCRIPT)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "modules"), os.environ.get("PYTHONPATH", "")]))
    return "made_up_commands:write"


class Lines(list):
    """What a runner says; makes one."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.lines = folder, self

    def run(self, steps, **more):
        StepRunner(logs=self.folder / "logs", say=self.append, **more).run(steps)

    def explain(self, steps):
        StepRunner(logs=self.folder / "logs", say=self.append).explain(steps)


@pytest.fixture
def runner(tmp_path):
    return Lines(tmp_path)


def step(tmp_path, script, name="a", words=("once",), **more):
    product = tmp_path / name / "product.txt"
    more = {"products": (product,), "owned": (product,)} | more
    commands = ((script, str(product), *words),)
    return Step(name=name, title=f"step {name}", commands=commands, record=tmp_path / f"{name}.json", **more)


def content(tmp_path, name="a"):
    return (tmp_path / name / "product.txt").read_text()


def test_a_step_runs_once(tmp_path, script, runner):
    for _ in range(2):
        runner.run([step(tmp_path, script)])
    assert content(tmp_path) == "once\n"
    assert runner.lines[-1] == "[1/1] step a: done before"
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["state"] == "done"
    assert set(record["inputs"]["versions"]) == {"impulse_nnunet", "nnunetv2", "torch"}


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
    assert wanted.status().state == "done"
    os.utime(source, (1, 1))  # another time, the same content
    assert wanted.status().state == "done"
    (folder / "new.nii.gz").write_text("x")
    assert wanted.status().reason == f"sources: {folder}"
    (folder / "new.nii.gz").unlink()
    source.write_text("2")
    assert wanted.status().reason == f"sources: {source}"


def test_a_file_edited_at_equal_size_is_seen_whatever_its_time(tmp_path, script, runner):
    folder = tmp_path / "images"
    folder.mkdir()
    for file, text in ((folder / "1.nii", "ab"), (folder / "2.nii", "cd")):
        file.write_text(text)
        os.utime(file, (1, 1))
    wanted = step(tmp_path, script, sources=(folder,))
    runner.run([wanted])
    os.utime(folder / "1.nii", (2, 2))  # copied or touched
    assert wanted.status().state == "done"
    (folder / "1.nii").write_text("ba")
    assert wanted.status().reason == f"sources: {folder}"


def test_a_record_of_an_earlier_form_redoes_the_step_and_keeps_its_result(tmp_path, script, runner):
    wanted = step(tmp_path, script)
    runner.run([wanted])
    (tmp_path / "a.json").write_text(json.dumps({"state": "done", "key": {"commands": []}}))
    runner.run([wanted])
    assert "[1/1] step a: again, since this changed: its record has another form" in runner.lines
    assert content(tmp_path) == "once\n"
    (kept,) = (tmp_path / "superseded").glob("*/product.txt")
    assert kept.read_text() == "once\n"


def test_overwrite_starts_over_and_keeps_the_old_result(tmp_path, script, runner):
    runner.run([step(tmp_path, script)])
    runner.run([step(tmp_path, script)], overwrite=True)
    assert "[1/1] step a: again, to start over" in runner.lines
    assert len(list((tmp_path / "superseded").glob("*/product.txt"))) == 1


def test_moved_folders_are_the_same_folders(tmp_path, script, runner, monkeypatch):
    for place in ("here", "there"):
        (tmp_path / place / "raw").mkdir(parents=True)
        monkeypatch.setenv("nnUNet_raw", str(tmp_path / place / "raw"))
        if place == "there":
            (tmp_path / "here" / "raw" / "a").rename(tmp_path / "there" / "raw" / "a")
            (tmp_path / "here" / "a.json").rename(tmp_path / "there" / "a.json")
        wanted = Step(
            name="a",
            title="step a",
            commands=((script, str(tmp_path / place / "raw" / "a" / "product.txt")),),
            record=tmp_path / place / "a.json",
            sources=(tmp_path / place / "raw" / "dataset.json",),
        )
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
    with pytest.raises(
        InputError, match=r"step b: found a failure of made_up_commands:write \(it went wrong\).*b\.log"
    ):
        runner.run([first, step(tmp_path, script, "b", words=("fail",), after=(first,), resume_flags=("--c",))])
    assert (tmp_path / "logs" / "b.log").read_text().endswith("working\nit went wrong\n")
    again = step(tmp_path, script, "b", words=("fail",), after=(first,), resume_flags=("--c",))
    assert again.status().state == "begun"
    with pytest.raises(InputError):
        runner.run([first, again])
    assert content(tmp_path, "b") == "fail\nfail --c\n"  # with the argument that goes on, and the first part kept
    assert content(tmp_path) == "once\n"


def test_a_command_that_replaces_its_own_result_is_told_to(tmp_path, script, runner):
    def wanted(value, words=("once",)):
        return step(tmp_path, script, words=words, facts=lambda: {"v": value}, owned=(), replace_flags=("--overwrite",))

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
    assert json.loads((tmp_path / "a.json").read_text())["state"] == "begun"


def test_a_dry_run_writes_nothing(tmp_path, script, runner):
    runner.explain([step(tmp_path, script)])
    assert runner.lines[0] == "[1/1] step a: to do"
    assert runner.lines[1].strip().endswith("product.txt once")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["modules"]


DRIVER = """
import sys
from pathlib import Path
from impulse_nnunet.jobs.step import Step
from impulse_nnunet.jobs.step_runner import StepRunner
base = Path(sys.argv[1])
command = ("made_up_commands:wait", str(base / "x"))
step = Step(name="a", title="step a", commands=(command,), record=base / "a.json")
StepRunner(logs=base / "logs", say=print).run([step])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_stop_reaches_the_command(tmp_path, script, number):
    (tmp_path / "driver.py").write_text(DRIVER)
    driver = subprocess.Popen([sys.executable, str(tmp_path / "driver.py"), str(tmp_path)])
    _wait_for(tmp_path / "x.running")
    driver.send_signal(number)
    assert driver.wait(20) == (-number if number == signal.SIGKILL else 128 + number)
    _wait_for(tmp_path / "x.stopped")


def _wait_for(path):
    for _ in range(400):
        if path.exists():
            return
        time.sleep(0.05)
    raise TimeoutError(path)

"""What is submitted, and a real array of two processes on this machine; tests/end_to_end/test_slurm.py has a Slurm."""

import sys

import numpy as np
import pytest

from impulse_nnunet.cli.main import main
from impulse_nnunet.cli.shard_job import ShardJob
from impulse_nnunet.errors import InputError
from impulse_nnunet.jobs.submission import minutes_of
from tests.evaluation.brute_force import blobs, disturbed
from tests.evaluation.image_files import dataset_json, save_all

PREDICT = ("submit", "predict", "-m", "MODEL", "-f", "0", "1", "-i", "IMAGES", "-o", "LABELS")
JOBS = ("--scheduler", "slurm", "--jobs", "5")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def folders(here):
    reference = {str(seed): blobs(seed, (5, 7, 6), 3).astype(np.uint8) for seed in range(3)}
    save_all(here / "gt", reference)
    save_all(here / "pred", {case: disturbed(labels, int(case)).astype(np.uint8) for case, labels in reference.items()})
    dataset_json(here / "pred", {"one": 1, "two": 2})
    return here


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("4:00:00", 240), ("0:00:01", 1), ("1-12:00:00", 36 * 60), ("10:30:01", 631)],
)
def test_times(text, minutes):
    assert minutes_of(text) == minutes


@pytest.mark.parametrize("text", ["", "0", "4:00", "1h", "-5", "0:00:00", "1-2"])
def test_times_that_are_none(text):
    with pytest.raises(InputError, match=r"`time`: found '.*', expected minutes, H:MM:SS or D-HH:MM:SS; e.g. `time` 4"):
        minutes_of(text)


def test_dry_run_shows_the_commands(here, capsys):
    assert main([*PREDICT, *JOBS, "--gpus", "1", "--slurm", "qos=low", "nice=100", "--dry_run"]) == 0
    assert capsys.readouterr().out == (
        f"5 job(s) on slurm, logs in {here / 'LABELS_jobs'}\n"
        "each with cpus 4, gpus 1, mem_gb 16, minutes 240, at_once 256, more {'qos': 'low', 'nice': '100'}\n"
        "  impulse_nnunet predict -m MODEL -f 0 1 -i IMAGES -o LABELS --shard 0/5\n"
        "  impulse_nnunet predict -m MODEL -f 0 1 -i IMAGES -o LABELS --shard 1/5\n"
        "  impulse_nnunet predict -m MODEL -f 0 1 -i IMAGES -o LABELS --shard 2/5\n"
        "  ... to --shard 4/5\n"
        "after them:\n"
        "  impulse_nnunet merge LABELS -i IMAGES\n"
    )
    assert list(here.iterdir()) == []


def test_a_job_that_is_given_back_resumes_and_does_not_start_over():
    job = ShardJob(("predict", "-o", "LABELS", "--overwrite", "--shard", "0/5"))
    assert job.checkpoint().function == ShardJob(("predict", "-o", "LABELS", "--shard", "0/5"))


def test_the_merge_of_an_evaluation(here, capsys):
    assert main(["submit", "evaluate", "GT", "PRED", "--hd95", *JOBS, "-o", "scores/mine.json", "--dry_run"]) == 0
    printed = capsys.readouterr().out
    assert f"logs in {here / 'scores_jobs'}\n" in printed
    assert "  impulse_nnunet evaluate GT PRED --hd95 -o scores/mine.json --shard 2/5\n" in printed
    assert "after them:\n  impulse_nnunet merge scores -o scores/mine.json\n" in printed


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--jobs", "0"], "--jobs: found 0, expected 1 or more"),
        (["--cpus", "0"], "--cpus: found 0, expected 1 or more"),
        (["--gpus", "-1"], "--gpus: found -1, expected 0 or more"),
        (["--mem_gb", "0"], "--mem_gb: found 0.0, expected more than 0"),
        (["--time", "4:00"], "--time: found '4:00', expected minutes, H:MM:SS or D-HH:MM:SS"),
        (["--slurm", "low"], "--slurm: found 'low', expected KEY=VALUE; e.g. --slurm qos=low"),
        (["--shard", "0/2"], "submit: found a shard among the flags, expected none"),
        (["-num_parts", "2"], "submit: found a shard among the flags, expected none"),
    ],
)
def test_bad_flags_are_one_line(here, capsys, flags, message):
    assert main([*PREDICT, *JOBS, *flags, "--dry_run"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"impulse_nnunet: {message}")
    assert printed.count("\n") == 1


def test_without_submitit(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert main([*PREDICT, *JOBS]) == 2
    assert capsys.readouterr().err == (
        "impulse_nnunet: submitit: found it is not installed, expected the package, to submit jobs; "
        "pip install 'impulse-nnunet[submit]'\n"
    )


def test_without_slurm(here, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(here))
    assert main([*PREDICT, *JOBS]) == 2
    assert "--scheduler: found slurm, but no srun on PATH, expected a machine that submits" in capsys.readouterr().err


def test_a_job_that_ends_badly_is_a_failed_job(folders):
    with pytest.raises(RuntimeError, match="exit code 2 of: impulse_nnunet merge pred"):
        ShardJob(("merge", "pred"))()


def test_processes_of_this_machine(folders, capfd):
    flags = ("-np", "1", "--disable_progress_bar")
    assert main(["evaluate", "gt", "pred", *flags]) == 0
    expected = (folders / "pred" / "summary.json").read_bytes()
    jobs = ("--scheduler", "local", "--jobs", "2", "--cpus", "1", "--wait")
    assert main(["submit", "evaluate", "gt", "pred", *flags, *jobs]) == 0
    assert (folders / "pred" / "summary.json").read_bytes() == expected
    assert "2 job(s) on local: " in capfd.readouterr().out
    assert len(list((folders / "pred_jobs").glob("*_log.out"))) == 2
    (folders / "pred" / "1.nii.gz").write_bytes(b"")  # the only case of the second shard
    assert main(["submit", "evaluate", "gt", "pred", *flags, *jobs]) == 2
    printed = capfd.readouterr().err
    assert "(1/2): RuntimeError: exit code 2 of: impulse_nnunet evaluate gt pred" in printed
    assert "1 case(s) failed:\n  pred/1.nii.gz: found a" in printed

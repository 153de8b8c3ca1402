"""A real Slurm with two nodes on this machine, one of which dies in the middle of an array."""

from __future__ import annotations

import os
import shutil
import time

import pytest
import SimpleITK as sitk

from tests.scaling.private_slurm import PrivateSlurm, missing_programs

MISSING = missing_programs()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"no {', '.join(MISSING)} (Debian: apt-get install slurm-wlm)"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a private Slurm is started as root"),
]
SHARDS, CASES = 3, 24
RESOURCES = ("--scheduler", "slurm", "--jobs", str(SHARDS), "--cpus", "1", "--mem_gb", "1", "--time", "0:30:00")
LONGEST = 600  # seconds that an array may take on a busy machine, a lost node included


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with PrivateSlurm(tmp_path_factory.mktemp("slurm")) as started:
        yield started


@pytest.fixture
def cohort(trained, labels, tmp_path):
    """24 images of which every third is the same, and references: the labels that stock nnU-Net predicted, shifted."""
    images = sorted((trained.raw / "imagesTs").iterdir())
    for number in range(CASES):
        source = images[number % len(images)]
        (tmp_path / "images").mkdir(exist_ok=True)
        shutil.copy(source, tmp_path / "images" / f"c{number:02}_0000.nii.gz")
        predicted = sitk.ReadImage(str(labels / source.name.replace("_0000", "")))
        (tmp_path / "gt").mkdir(exist_ok=True)
        shifted = sitk.Cast(sitk.CyclicShift(predicted, (number % 5, 0, 0)), predicted.GetPixelID())
        sitk.WriteImage(shifted, str(tmp_path / "gt" / f"c{number:02}.nii.gz"))
    return tmp_path


def rows(slurm):
    """(task, state, node) of what is in the queue."""
    slurm.start_requeued()
    shown = slurm.run("squeue", "--noheader", "--array", "--format=%K %T %N").stdout
    return [tuple(line.split()) for line in shown.splitlines()]


def shard_on(slurm, node):
    return next((int(row[0]) for row in rows(slurm) if row[1:] == ("RUNNING", node) and row[0].isdigit()), None)


def done_of(folder, index):
    names = [f"c{number:02}.nii.gz" for number in range(CASES)][index::SHARDS]
    return sum((folder / name).is_file() for name in names), len(names)


def test_an_array_that_loses_a_node_ends_as_if_nothing_had_happened(trained, labels, cohort, slurm):
    variables = {name: slurm.environment[name] for name in ("SLURM_CONF", "PATH")}
    output = cohort / "labels"

    def command(*arguments, expect=0):
        return trained.run("impulse_nnunet", *arguments, expect=expect, **variables)

    printed = command(
        "submit",
        "predict",
        "-m",
        str(trained.model),
        "-f",
        "0",
        "-device",
        "cpu",
        "-npp",
        "1",
        "-i",
        str(cohort / "images"),
        "-o",
        str(output),
        *RESOURCES,
    ).stdout
    assert printed.startswith(f"{SHARDS} job(s) on slurm: ")
    assert f"when they are over: impulse_nnunet merge {output} -i {cohort / 'images'}" in printed

    lost = []

    def in_the_middle():
        index = shard_on(slurm, "n1")
        lost[:] = [] if index is None else [index]
        return bool(lost) and 0 < done_of(output, lost[0])[0] < done_of(output, lost[0])[1]

    slurm.until(in_the_middle, "a shard on n1", LONGEST)
    slurm.kill_node("n1")
    done, number = done_of(output, lost[0])
    assert done < number  # it was killed before its last case
    command("merge", str(output), "-i", str(cohort / "images"), expect=2)  # says what is missing
    time.sleep(1)
    slurm.start_node("n1")
    slurm.until(lambda: not rows(slurm), "the array", LONGEST)
    command("merge", str(output), "-i", str(cohort / "images"))
    sources = sorted((trained.raw / "imagesTs").iterdir())
    for index in range(CASES):
        stock = sitk.ReadImage(str(labels / sources[index % len(sources)].name.replace("_0000", "")))
        ours = sitk.ReadImage(str(output / f"c{index:02}.nii.gz"))
        assert sitk.GetArrayFromImage(ours).tobytes() == sitk.GetArrayFromImage(stock).tobytes()

    printed = command("submit", "evaluate", str(cohort / "gt"), str(output), "-np", "1", *RESOURCES).stdout
    assert "merges when they are over" in printed
    slurm.until(lambda: shard_on(slurm, "n2") is not None, "a shard on n2", LONGEST)
    time.sleep(3)
    slurm.kill_node("n2")
    time.sleep(1)
    slurm.start_node("n2")
    slurm.until(lambda: not rows(slurm), "the array and its merge", LONGEST)
    merged = {name: (output / name).read_bytes() for name in ("summary.json", "metrics.csv")}
    command("evaluate", str(cohort / "gt"), str(output), "-np", "1")
    assert merged == {name: (output / name).read_bytes() for name in merged}

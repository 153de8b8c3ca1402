"""What goes wrong around a prediction: changing files, read-only folders, full disks, little memory, a lost worker."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

import nibabel
import numpy as np
import pytest
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.nnunet import outputs
from impulse_nnunet.nnunet.validation import _on_processes
from tests.faults.fuzz import call

pytestmark = pytest.mark.slow


@pytest.fixture
def predict(trained, tmp_path, monkeypatch):
    """A call of ``predict`` on copies of two images; returns its ending and the folders."""
    monkeypatch.setenv("nnUNet_extTrainer", trained.environment["nnUNet_extTrainer"])
    images = tmp_path / "images"
    images.mkdir()
    for number in (8, 9):
        shutil.copy(trained.raw / "imagesTs" / f"chest_{number:03d}_0000.nii.gz", images)

    def run(output):
        return call(
            "predict",
            "-m",
            trained.model,
            "-f",
            "0",
            "-i",
            images,
            "-o",
            output,
            "-device",
            "cpu",
            "--disable_progress_bar",
        )

    return run, images


def test_an_image_that_changes_while_it_is_predicted_gets_no_labels(predict, tmp_path, monkeypatch):
    run, images = predict
    changed, decode = images / "chest_008_0000.nii.gz", outputs.decode_case

    def decode_and_change(*arguments):
        with changed.open("ab") as file:
            file.write(b"more")
        return decode(*arguments)

    monkeypatch.setattr(outputs, "decode_case", decode_and_change)
    ending = run(tmp_path / "out")
    assert ending.code == 2
    assert f"chest_008: found that {changed} changed while it was read" in ending.errors
    assert [path.name for path in (tmp_path / "out").glob("*.nii.gz")] == ["chest_009.nii.gz"]


def test_short_memory_gives_the_same_labels_from_smaller_blocks(predict, tmp_path, monkeypatch):
    run, _ = predict
    assert run(tmp_path / "wanted").code == 0
    decode, blocks = outputs.decode_case, []

    def decode_if_small(encoded, block, *rest):
        blocks.append(block)
        if block > blocks[0] // 4:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return decode(encoded, block, *rest)

    monkeypatch.setattr(outputs, "decode_case", decode_if_small)
    ending = run(tmp_path / "found")
    assert ending.code == 0
    assert "chest_008: out of memory on cpu, going on with blocks of 1/4 on cpu" in ending.errors
    for wanted in (tmp_path / "wanted").glob("*.nii.gz"):
        images = [nibabel.load(folder / wanted.name) for folder in (tmp_path / "wanted", tmp_path / "found")]
        np.testing.assert_array_equal(*[np.asarray(image.dataobj) for image in images])


def test_a_read_only_folder(predict, tmp_path):
    run, _ = predict
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(mounted)], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("this user may not mount a read-only folder")
    try:
        ending = run(mounted / "out")
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
    assert ending.code == 2
    assert "Read-only file system" in ending.errors
    assert "Traceback" not in ending.errors


def test_a_full_disk(predict, tmp_path):
    run, _ = predict
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", str(mounted)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("this user may not mount a small disk")
    try:
        ending = run(mounted)
        for path in mounted.rglob("*.nii.gz"):
            nibabel.load(path).get_fdata()  # whole, or this raises
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
    assert ending.code == 2
    assert "No space left on device" in ending.errors


def die_on_two(number):
    if number == "2":
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_lost_worker_of_the_validation_is_named_and_not_waited_for():
    with pytest.raises(InputError, match="folder: found that a worker was killed"):
        _on_processes(die_on_two, ["1", "2", "3"], 2, "folder")

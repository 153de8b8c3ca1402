import json
from types import SimpleNamespace

import numpy as np
import pytest
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

from impulse_nnunet.nnunet import validation
from impulse_nnunet.nnunet.validation import remove_stale, summarise
from tests.support import write_nifti

CONTENT = {"file_ending": ".nii.gz", "labels": {"background": 0, "lung": 1}}
PLANS = SimpleNamespace(
    image_reader_writer_class=lambda: SimpleITKIO(),
    get_label_manager=lambda content: SimpleNamespace(foreground_labels=[1], ignore_label=None),
)


def label_map(first):
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[first:] = 1
    return labels


def test_only_the_cases_of_the_split_are_scored_and_stale_ones_go(tmp_path, monkeypatch):
    monkeypatch.setattr(validation, "default_num_processes", 1)
    for name in ("predicted", "reference"):
        (tmp_path / name).mkdir()
    for case in ("a", "b", "trained"):  # the last one was validated under an earlier split
        write_nifti(tmp_path / f"reference/{case}.nii.gz", label_map(2))
        write_nifti(tmp_path / f"predicted/{case}.nii.gz", label_map(2 if case == "trained" else 0))
    for name in ("trained.npz", "trained.pkl", "a.npz", "._a.nii.gz", "notes.txt"):
        (tmp_path / "predicted" / name).touch()
    summary = summarise(tmp_path / "predicted", tmp_path / "reference", ["b", "a"], PLANS, CONTENT)
    # 64 voxels predicted, 32 of them right: 2 * 32 / (64 + 32)
    assert summary["foreground_mean"]["Dice"] == pytest.approx(2 / 3)
    written = json.loads((tmp_path / "predicted/summary.json").read_text())
    assert [case["prediction_file"].rsplit("/", 1)[1] for case in written["metric_per_case"]] == [
        "a.nii.gz",
        "b.nii.gz",
    ]
    assert remove_stale(tmp_path / "predicted", ["a", "b"], ".nii.gz") == ["trained"]
    left = {path.name for path in (tmp_path / "predicted").iterdir()}
    assert left == {"a.nii.gz", "b.nii.gz", "a.npz", "._a.nii.gz", "notes.txt", "summary.json"}


def test_a_validation_that_has_not_begun_has_nothing_stale(tmp_path):
    assert remove_stale(tmp_path / "validation", ["a"], ".nii.gz") == []

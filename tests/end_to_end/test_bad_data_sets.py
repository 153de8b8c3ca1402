"""Bad training data: every bad case is named in one line, exit code 2, nothing is written."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest

from impulse_nnunet.phantom.simple_chest import write_dataset
from tests.end_to_end.conftest import make_workplace

pytestmark = pytest.mark.slow


def change(path, function):
    image = nibabel.load(path)
    array = function(np.asarray(image.dataobj, dtype=np.float32))
    nibabel.save(nibabel.Nifti1Image(array, image.affine), path)


def test_all_bad_cases_of_a_data_set_are_named_at_once(tmp_path):
    workplace = make_workplace(tmp_path)
    write_dataset(workplace.raw, training=7, test=0, size=(12, 14, 16), spacing_mm=20.0)
    images, labels = workplace.raw / "imagesTr", workplace.raw / "labelsTr"
    change(images / "chest_000_0000.nii.gz", lambda a: np.where(a == a.max(), np.nan, a))
    change(labels / "chest_001.nii.gz", lambda a: np.where(a == 1, 9, a))
    change(labels / "chest_002.nii.gz", lambda a: 0 * a)
    change(labels / "chest_003.nii.gz", lambda a: a[1:])
    (images / "chest_004_0000.nii.gz").rename(images / "chest_004_0001.nii.gz")
    (images / "chest_004_0000.nii.gz").write_bytes((images / "chest_004_0001.nii.gz").read_bytes())
    whole = (images / "chest_005_0000.nii.gz").read_bytes()
    (images / "chest_005_0000.nii.gz").write_bytes(whole[:-300])
    finished = workplace.run("impulse_nnunet", "plan_and_preprocess", "-d", "990", "--no_pbar", expect=2)
    errors = finished.stderr
    assert "6 of 7 cases failed" in errors
    assert "chest_000_0000.nii.gz: found 1 NaN or infinite voxel(s), expected finite values" in errors
    assert "chest_001.nii.gz: found label(s) 9, expected those of dataset.json (0, 1, 2, 3, 4, 5)" in errors
    assert "chest_002: found no foreground in its segmentation" in errors
    assert "chest_003.nii.gz: found shape (12, 14, 15), expected (12, 14, 16) as in its image" in errors
    assert "chest_004: found 2 channel(s)" in errors
    assert "chest_005_0000.nii.gz: found an unreadable file" in errors
    assert "Traceback" not in errors
    assert not any((tmp_path / "nnUNet_preprocessed").rglob("*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "found no valid JSON"),
        (
            json.dumps({"labels": {"background": 0}, "numTraining": 1, "file_ending": ".nii.gz"}),
            "no entry 'channel_names'",
        ),
    ],
)
def test_bad_dataset_json(tmp_path, content, message):
    workplace = make_workplace(tmp_path)
    workplace.raw.mkdir(parents=True)
    (workplace.raw / "dataset.json").write_text(content)
    finished = workplace.run("impulse_nnunet", "plan_and_preprocess", "-d", "990", expect=2)
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr


def test_unknown_data_set_and_unset_folders(tmp_path):
    workplace = make_workplace(tmp_path)
    (tmp_path / "nnUNet_raw").mkdir()
    finished = workplace.run("impulse_nnunet", "plan_and_preprocess", "-d", "17", expect=2)
    assert "dataset 17: found no such data set" in finished.stderr
    del workplace.environment["nnUNet_raw"]
    finished = workplace.run("impulse_nnunet", "plan_and_preprocess", "-d", "17", expect=2)
    assert 'run: eval "$(impulse_nnunet env)"' in finished.stderr

"""The chain on real images, a few steps each; the folder is named by IMPULSE_TEST_DATA (../shared/data by default)."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.end_to_end.conftest import make_workplace

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("IMPULSE_TEST_DATA", ROOT.parent / "shared" / "data"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}; set IMPULSE_TEST_DATA"),
]
FEW_STEPS = [
    part
    for setting in (
        "impulse.training.epochs=2",
        "impulse.training.iterations=10",
        "impulse.training.validation_iterations=2",
    )
    for part in ("--set", setting)
]


def train_and_predict(workplace, dataset, fold):
    model = ("-d", dataset, "-tr", "nnUNetTrainerImPulSe", "-p", "ImPulSePlans", "-c", "3d_impulse", "-f", fold)
    workplace.run("impulse_nnunet", "plan_and_preprocess", "-d", dataset, "--no_pbar", "-npfp", "2", *FEW_STEPS)
    workplace.run(
        "nnUNetv2_train",
        dataset,
        "3d_impulse",
        fold,
        "-tr",
        "nnUNetTrainerImPulSe",
        "-p",
        "ImPulSePlans",
        "-device",
        "cpu",
    )
    raw = next((workplace.base / "nnUNet_raw").glob(f"Dataset{dataset}_*"))
    output = workplace.base / "out"
    workplace.run("impulse_nnunet", "predict", *model, "-i", str(raw / "imagesTs"), "-o", str(output), "-device", "cpu")
    return raw, output


def test_hippocampus(tmp_path):
    source = DATA / "Dataset704_Hippocampus"
    workplace = make_workplace(tmp_path)
    raw = tmp_path / "nnUNet_raw" / source.name
    for folder in ("imagesTr", "labelsTr", "imagesTs"):
        (raw / folder).mkdir(parents=True)
    files = sorted((source / "labelsTr").iterdir())[:13]
    for file in files[:12]:
        shutil.copy(file, raw / "labelsTr")
        shutil.copy(source / "imagesTr" / file.name.replace(".nii.gz", "_0000.nii.gz"), raw / "imagesTr")
    unseen = files[12].name
    shutil.copy(source / "imagesTr" / unseen.replace(".nii.gz", "_0000.nii.gz"), raw / "imagesTs")
    content = json.loads((source / "dataset.json").read_text()) | {"numTraining": 12}
    (raw / "dataset.json").write_text(json.dumps(content))
    raw, output = train_and_predict(workplace, "704", "0")
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(output / unseen)))
    wanted = sitk.GetArrayFromImage(sitk.ReadImage(str(files[12])))
    assert found.shape == wanted.shape
    # the template of 9 cases alone overlaps an unseen hippocampus; 0.4 is far from a trained network's 0.88
    assert 2 * np.sum((found > 0) & (wanted > 0)) / (np.sum(found > 0) + np.sum(wanted > 0)) > 0.4


def test_chest_ct(tmp_path):
    """One CT in NRRD, oblong voxels, six thirds of lungs as labels; trained and predicted on itself (fold all)."""
    workplace = make_workplace(tmp_path)
    raw = tmp_path / "nnUNet_raw" / "Dataset705_Chest"
    for folder in ("imagesTr", "labelsTr", "imagesTs"):
        (raw / folder).mkdir(parents=True)
    image = sitk.ReadImage(str(DATA / "chest_ct_64/ct-64.nrrd"))
    regions = sitk.GetArrayFromImage(sitk.ReadImage(str(DATA / "chest_ct_64/lm-64.nrrd"))) & 255
    labels = np.where((regions >= 9) & (regions <= 14), regions - 8, 0).astype(np.uint8)
    label_image = sitk.GetImageFromArray(labels)
    label_image.CopyInformation(image)
    for case in ("chest_1", "chest_2"):
        sitk.WriteImage(image, str(raw / f"imagesTr/{case}_0000.nrrd"))
        sitk.WriteImage(label_image, str(raw / f"labelsTr/{case}.nrrd"))
    sitk.WriteImage(image, str(raw / "imagesTs/chest_1_0000.nrrd"))
    names = ["background", "left upper", "left middle", "left lower", "right upper", "right middle", "right lower"]
    content = {
        "channel_names": {"0": "CT"},
        "labels": {name: number for number, name in enumerate(names)},
        "numTraining": 2,
        "file_ending": ".nrrd",
    }
    (raw / "dataset.json").write_text(json.dumps(content))
    raw, output = train_and_predict(workplace, "705", "all")
    found = sitk.ReadImage(str(output / "chest_1.nrrd"))
    assert found.GetSize() == image.GetSize()
    np.testing.assert_allclose(found.GetSpacing(), image.GetSpacing(), rtol=1e-6)
    np.testing.assert_allclose(found.GetOrigin(), image.GetOrigin(), rtol=1e-6)
    array = sitk.GetArrayFromImage(found)
    assert 2 * np.sum((array > 0) & (labels > 0)) / (np.sum(array > 0) + np.sum(labels > 0)) > 0.8

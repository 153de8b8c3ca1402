import json

import nibabel
import numpy as np
import pytest
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor

from impulse_nnunet.errors import CasesFailedError
from impulse_nnunet.preprocessing.fingerprint import FINGERPRINT, ReadAlikeFingerprintExtractor

NAME = "Dataset704_Made"
CONTENT = {
    "channel_names": {"0": "CT", "1": "noNorm"},
    "labels": {"background": 0, "a": 1},
    "numTraining": 3,
    "file_ending": ".nii.gz",
}


@pytest.fixture
def raw(nnunet_folders, monkeypatch):
    """Three cases of two channels; returns their folder."""
    folders = nnunet_folders / "nnUNet_raw" / NAME, nnunet_folders / "nnUNet_preprocessed"
    for module in ("nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor",):
        monkeypatch.setattr(f"{module}.nnUNet_raw", str(folders[0].parent))
        monkeypatch.setattr(f"{module}.nnUNet_preprocessed", str(folders[1]))
    monkeypatch.setattr("impulse_nnunet.preprocessing.fingerprint.nnUNet_preprocessed", str(folders[1]))
    for folder in ("imagesTr", "labelsTr"):
        (folders[0] / folder).mkdir(parents=True)
    for number in range(3):
        write_case(folders[0], f"case_{number}", number, np.diag([-1.0, -1, 2 + number, 1]))
    (folders[0] / "dataset.json").write_text(json.dumps(CONTENT))
    return folders[0]


def write_case(raw, name, seed, affine):
    rng = np.random.default_rng(seed)
    for channel in range(2):
        values = rng.normal(size=(8, 9, 10)).astype(np.float32)
        values[:2] = 0
        nibabel.save(nibabel.Nifti1Image(values, affine), raw / "imagesTr" / f"{name}_000{channel}.nii.gz")
    labels = np.zeros((8, 9, 10), np.uint8)
    labels[3:6, 2:7, 4:8] = 1
    nibabel.save(nibabel.Nifti1Image(labels, affine), raw / "labelsTr" / f"{name}.nii.gz")


def extracted(extractor):
    extractor = extractor(NAME, 1)
    extractor.show_progress_bar = False
    return extractor.run(overwrite_existing=True)


def test_the_numbers_are_nnunets(raw):
    ours, path = extracted(ReadAlikeFingerprintExtractor), raw.parents[1] / "nnUNet_preprocessed" / NAME / FINGERPRINT
    assert json.loads(path.read_text()) == json.loads(json.dumps(ours))
    stock = extracted(DatasetFingerprintExtractor)
    assert ours["shapes_after_crop"] == [list(shape) for shape in stock["shapes_after_crop"]] == [[10, 9, 6]] * 3
    np.testing.assert_allclose(ours["spacings"], stock["spacings"])
    assert ours["median_relative_size_after_cropping"] == pytest.approx(stock["median_relative_size_after_cropping"])
    for channel in range(2):
        found = ours["foreground_intensity_properties_per_channel"][str(channel)]
        expected = stock["foreground_intensity_properties_per_channel"][channel]
        assert found.keys() == expected.keys()
        for name, value in expected.items():  # both draw 10^7 times from 60 voxels, in another order
            assert found[name] == pytest.approx(value, abs=5e-3), name


def test_a_slightly_sheared_case_among_others_is_taken(raw):
    affine = np.diag([-1.0, -1, 2, 1])
    affine[0, 2] = 4e-3
    write_case(raw, "case_1", 1, affine)
    assert len(extracted(ReadAlikeFingerprintExtractor)["spacings"]) == 3


def test_a_case_that_cannot_be_read_is_named(raw):
    (raw / "imagesTr" / "case_1_0001.nii.gz").write_text("no image")
    with pytest.raises(CasesFailedError, match=r"case_1_0001\.nii\.gz: found an unreadable file"):
        extracted(ReadAlikeFingerprintExtractor)

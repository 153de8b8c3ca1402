import nibabel
import numpy as np
import pytest

from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.io.input_cases import find_input_cases, quickest_ending
from tests.io.dicom.made import PATIENT, scan
from tests.support import write_nifti


def test_images_with_nnunets_names_come_first(tmp_path):
    write_nifti(tmp_path / "a_0000.nii.gz", np.ones((3, 4, 5), np.float32))
    scan().write(tmp_path / "dicom")
    found = find_input_cases(tmp_path, ".nii.gz", ["CT"])
    assert found.names == ["a"]
    with found.files(["a"], tmp_path / "work", ".nii.gz") as files:
        assert files == {"a": [str(tmp_path / "a_0000.nii.gz")]}
    assert not (tmp_path / "work").exists()


def test_dicom_series_become_images_for_the_length_of_the_block(tmp_path):
    made = scan((4, 5, 6))
    made.write(tmp_path / "in" / PATIENT)
    found = find_input_cases(tmp_path / "in", ".nii.gz", ["CT"])
    (name,) = found.names
    with found.files(found.names, tmp_path / "out", ".nii") as files:
        ((path,),) = files.values()
        assert path.endswith(f"{name}_0000.nii")
        assert PATIENT not in path
        image = nibabel.load(path)
        assert image.get_fdata().T.astype(int).tolist() == (made.voxels.astype(int) - 1024).tolist()
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bad_series_is_named_when_the_others_are_done(tmp_path):
    scan().write(tmp_path / "good")
    scan((6, 4, 4)).write(tmp_path / "bad")[2].unlink()
    scan(modality="MR", patient_id="B").write(tmp_path / "other")
    found = find_input_cases(tmp_path, ".nii.gz", ["CT"])
    assert len(found.names) == 3
    done = []

    def work():
        with found.files(found.names, tmp_path / "out", ".nii") as files:
            done.extend(files)
            raise CasesFailedError({files.popitem()[0]: "it failed too"}, 1)

    with pytest.raises(CasesFailedError) as failed:
        work()
    assert len(done) == 1
    text = str(failed.value)
    assert text.startswith("3 of 3 cases failed:")
    assert "1 missing slice(s)" in text
    assert "found 1 series of MR, expected a series of CT" in text
    assert "it failed too" in text


def test_only_the_chosen_cases_are_converted(tmp_path):
    scan().write(tmp_path / "a")
    scan((6, 4, 4)).write(tmp_path / "b")[2].unlink()
    found = find_input_cases(tmp_path, ".nii.gz", ["CT"])
    good = next(name for name, series in found.series.items() if len(series.headers) == 6)
    with found.files([good], tmp_path / "out", ".nii") as files:
        assert list(files) == [good]


def test_what_dicom_does_not_go_with(tmp_path):
    scan().write(tmp_path / "dicom")
    with pytest.raises(InputError, match=r"found DICOM, expected images named CASE_0000\.nii\.gz of 4 channels"):
        find_input_cases(tmp_path / "dicom", ".nii.gz", ["CT", "noNorm", "noNorm", "noNorm"])
    with pytest.raises(InputError, match="found 1 series of CT, expected MR"):
        find_input_cases(tmp_path / "dicom", ".nii.gz", ["T1"])
    write_nifti(tmp_path / "a_0000.nii.gz", np.ones((3, 4, 5), np.float32))
    with pytest.raises(InputError, match=r"`series`: found 1\.2, expected a folder of DICOM"):
        find_input_cases(tmp_path, ".nii.gz", ["CT"], ["1.2"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"found no case, expected images named CASE_0000\.nii\.gz"):
        find_input_cases(tmp_path / "empty", ".nii.gz", ["CT"])


def test_endings_of_images_for_a_while():
    quickest = {".nii.gz": ".nii", ".nii": ".nii", ".nrrd": ".nrrd", ".mha": ".mha"}
    assert {ending: quickest_ending(ending) for ending in quickest} == quickest

import os

import pytest
from pydicom.uid import generate_uid

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dicom.series import choose, series_in
from tests.io.dicom.made import scan


def chosen(folder, modality="CT", wanted=()):
    return choose(folder, series_in(folder), modality, wanted)


def slices(cases):
    return sorted(len(series.headers) for series in cases.values())


def test_each_study_is_a_case_its_largest_ct(tmp_path, caplog):
    study = generate_uid()
    scan((9, 4, 4), study=study).write(tmp_path / "a" / "thick")
    thin = scan((12, 4, 4), study=study)
    thin.write(tmp_path / "a" / "thin")
    scan((3, 90, 90), study=study, tags={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}).write(
        tmp_path / "a" / "scout"
    )
    scan((20, 4, 4), study=study, modality="MR").write(tmp_path / "a" / "mr")
    scan((5, 4, 4)).write(tmp_path / "b")
    with caplog.at_level("WARNING", "impulse_nnunet"):
        cases, failures = chosen(tmp_path)
    assert (slices(cases), failures) == ([5, 12], {})
    assert "12 slices, is the largest series of its study" in caplog.text
    assert thin.series not in caplog.text


def test_two_series_in_one_folder_and_a_choice_by_uid_or_name(tmp_path):
    study = generate_uid()
    first, second = scan((9, 4, 4), study=study), scan((6, 4, 4), study=study)
    first.write(tmp_path, "a{}")
    second.write(tmp_path, "b{}")
    (largest,) = chosen(tmp_path)[0].values()
    assert largest.uid == first.series
    cases, _ = chosen(tmp_path, wanted=[second.series])
    (name,) = cases
    assert cases[name].uid == second.series
    assert list(chosen(tmp_path, wanted=[name])[0]) == [name]
    assert len(chosen(tmp_path, wanted=[first.series, second.series])[0]) == 2


def test_equal_series_by_their_numbers(tmp_path):
    study = generate_uid()
    scan((6, 4, 4), study=study, tags={"SeriesNumber": "10"}).write(tmp_path, "a{}")
    lower = scan((6, 4, 4), study=study, tags={"SeriesNumber": "9"})
    lower.write(tmp_path, "b{}")
    (series,) = chosen(tmp_path)[0].values()
    assert series.uid == lower.series


def test_a_name_depends_on_the_series_alone(tmp_path):
    made = scan(series="1.2.840.99")
    made.write(tmp_path / "here", "x{}")
    made.write(tmp_path / "elsewhere" / "deep")
    # printf 1.2.840.99 | sha256sum
    assert list(chosen(tmp_path / "here")[0]) == list(chosen(tmp_path / "elsewhere")[0]) == ["ct_0a90ed7e2360"]


def test_another_modality(tmp_path):
    made = scan(modality="MR")
    made.write(tmp_path)
    with pytest.raises(InputError, match="found 1 series of MR, expected CT, which the model takes"):
        chosen(tmp_path)
    with pytest.raises(InputError, match="found a series of MR, expected CT"):
        chosen(tmp_path, wanted=[made.series])
    assert len(chosen(tmp_path, "MR")[0]) == 1


def test_a_patient_without_a_ct_is_named_and_the_others_go_on(tmp_path):
    scan().write(tmp_path / "a")
    scan(modality="MR").write(tmp_path / "a" / "another study of this patient")
    scan(modality="MR", patient_id="B").write(tmp_path / "b")
    cases, failures = chosen(tmp_path)
    assert len(cases) == 1
    ((name, reason),) = failures.items()
    assert name.startswith("study_")
    assert "found 1 series of MR, expected a series of CT" in reason


def test_a_series_that_is_not_there(tmp_path):
    scan().write(tmp_path)
    with pytest.raises(
        InputError, match=r"`series` 1\.2\.3: found no such series, expected one in .* \(ct_[0-9a-f]{12}\)"
    ):
        chosen(tmp_path, wanted=["1.2.3"])


def test_one_series_of_two_patients(tmp_path):
    scan(series="1.2.3").write(tmp_path / "a")
    scan(series="1.2.3", patient_id="B").write(tmp_path / "b")
    with pytest.raises(InputError, match="found the same series of two patients or studies"):
        chosen(tmp_path)
    with pytest.raises(InputError, match="found the same series of two patients or studies"):
        chosen(tmp_path, wanted=["1.2.3"])


def test_other_files_are_passed_over(tmp_path):
    scan().write(tmp_path)
    (tmp_path / "README.txt").write_text("about")
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10")
    (series,) = series_in(tmp_path)
    assert (len(series.headers), series.unreadable) == (6, 0)


@pytest.mark.parametrize("left", [0, 600])
def test_a_damaged_file_counts_for_the_series_beside_it(tmp_path, left):
    files = scan().write(tmp_path / "a")
    scan().write(tmp_path / "b")
    files[-1].write_bytes(files[-1].read_bytes()[:left])
    assert sorted(series.unreadable for series in series_in(tmp_path)) == [0, 1]


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    scan().write(tmp_path / "a")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("a"):
            raise PermissionError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="found a folder in it that may not be read"):
        series_in(tmp_path)


def test_folders_without_dicom(tmp_path):
    with pytest.raises(InputError, match="found no DICOM image that can be read"):
        series_in(tmp_path)
    with pytest.raises(InputError, match="found no such folder"):
        series_in(tmp_path / "gone")

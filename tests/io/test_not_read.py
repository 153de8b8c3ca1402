import pytest

from impulse_nnunet.io.not_read import incomplete, left_out_line, not_read

ENDING = ".nii.gz"
DICOM_HEAD = b"\0" * 128 + b"DICM" + b"\0" * 50


def reasons(folder, ending=ENDING):
    return {one.name: (one.why, one.is_patient) for one in not_read(folder, ending)}


def touch(folder, *names):
    folder.mkdir(exist_ok=True, parents=True)
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("b_0000.nrrd", "the ending .nrrd, expected .nii.gz; convert it"),
        ("b_0000.nii", "the ending .nii, expected .nii.gz; convert it"),
        ("b.mha", "the ending .mha, expected .nii.gz; convert it"),
        ("b_0000.NII.gz", "the ending .NII.gz, expected .nii.gz, small and capital letters as they are; rename it"),
        ("b_0000.nii.GZ", "the ending .nii.GZ, expected .nii.gz, small and capital letters as they are; rename it"),
        ("b.nii.gz", "no channel's number in its name; name it b_0000.nii.gz"),
        ("b_000.nii.gz", "no channel's number in its name; name it b_000_0000.nii.gz"),
        ("b_0000 (1).nii.gz", "no channel's number in its name; name it b_0000 (1)_0000.nii.gz"),
        ("_0000.nii.gz", "no name before the channel's number; name it CASE_0000.nii.gz"),
        ("b.dcm", "DICOM, which is not read; convert each series to one file .nii.gz"),
        ("B.IMA", "DICOM, which is not read; convert each series to one file .nii.gz"),
    ],
)
def test_a_patient_who_is_not_read_and_why(tmp_path, name, why):
    touch(tmp_path, "a_0000.nii.gz", name)
    assert reasons(tmp_path) == {name: (why, True)}


def test_what_operating_systems_leave_and_what_is_no_image_is_no_one(tmp_path):
    touch(tmp_path, "a_0000.nii.gz", "._a_0000.nii.gz", ".DS_Store", "Thumbs.db", "desktop.ini", "notes.txt", "a.json")
    touch(tmp_path / "tables", "a.csv")
    touch(tmp_path / ".cache", "b.nii.gz")
    assert reasons(tmp_path) == {}


def test_files_beside_a_case_that_is_read_are_named_and_leave_no_one_out(tmp_path):
    touch(tmp_path, "a_0000.nii.gz", "a.nii.gz", "a_0000.nrrd")
    found = reasons(tmp_path)
    assert set(found) == {"a.nii.gz", "a_0000.nrrd"}
    assert [is_patient for _, is_patient in found.values()] == [False, False]
    assert left_out_line(tmp_path, not_read(tmp_path, ENDING)) == ""


def test_dicom_without_endings_and_in_folders(tmp_path):
    for n in range(5):
        (tmp_path / f"IM{n:04d}").write_bytes(DICOM_HEAD)
    (tmp_path / "README").write_text("short")
    touch(tmp_path / "patient_7")
    (tmp_path / "patient_7" / "1.2.840.1").write_bytes(DICOM_HEAD)
    touch(tmp_path / "series", "0001.dcm")
    touch(tmp_path / "more", "c_0000.nii.gz")
    found = reasons(tmp_path)
    assert found["5 files like IM0000"] == ("DICOM, which is not read; convert each series to one file .nii.gz", True)
    for name in ("patient_7", "series"):
        expected = "a folder with DICOM, which is not read; convert each series to one file .nii.gz"
        assert found[name] == (expected, True)
    assert found["more"][0].startswith("a folder with images, which is not looked into")
    assert len(found) == 4


def test_other_endings_of_models(tmp_path):
    touch(tmp_path, "a_0000.nrrd", "b_0000.NRRD", "c_0000.nii.gz")
    assert set(reasons(tmp_path, ".nrrd")) == {"b_0000.NRRD", "c_0000.nii.gz"}


def test_patients_left_out_in_one_line(tmp_path):
    touch(tmp_path, "a_0000.nii.gz", *(f"{name}.nrrd" for name in "bcdef"))
    found = not_read(tmp_path, ENDING)
    assert (
        left_out_line(tmp_path, found)
        == f"5 files or folders of {tmp_path} left out: b.nrrd, c.nrrd, d.nrrd and 2 more"
    )


def test_cases_that_lack_channels():
    cases = {
        "a": ["in/a_0000.nii.gz", "in/a_0001.nii.gz"],
        "b": ["in/b_0001.nii.gz"],
        "c": ["in/c_0000.nii.gz", "in/c_0002.nii.gz"],
        "d": [f"in/d_000{n}.nii.gz" for n in range(3)],
    }
    assert incomplete(cases, 2) == {
        "b": "channels _0001, expected _0000, _0001",
        "c": "channels _0000, _0002, expected _0000, _0001",
        "d": "channels _0000, _0001, _0002, expected _0000, _0001",
    }

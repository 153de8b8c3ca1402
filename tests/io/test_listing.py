import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.listing import cases_in, find_image, list_cases


def touch(folder, *names):
    for name in names:
        (folder / name).touch()


def test_cases_and_their_channels_are_listed_in_order(tmp_path):
    touch(tmp_path, "b_0000.nii.gz", "a_x_0001.nii.gz", "a_x_0000.nii.gz", "dataset.json", "c.nii.gz", "_0000.nii.gz")
    cases = list_cases(tmp_path, ".nii.gz")
    assert list(cases) == ["a_x", "b"]
    assert cases["a_x"] == [str(tmp_path / f"a_x_000{c}.nii.gz") for c in range(2)]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(
        InputError, match=r"nowhere: found no such folder, expected a folder of images; check `input_folder`"
    ):
        list_cases(tmp_path / "nowhere", ".nii.gz")


def test_a_folder_without_cases_is_named(tmp_path):
    touch(tmp_path, "case.nii.gz", "case_0000.mha")
    with pytest.raises(InputError, match=r"found no case, expected images named CASE_0000\.nii\.gz; rename them as"):
        list_cases(tmp_path, ".nii.gz")


def test_cases_of_a_folder(tmp_path):
    for name in ("b.nii.gz", "a.b.nrrd", "c.mha", "summary.json", ".hidden.nii.gz", "dataset.json", "d.npz"):
        (tmp_path / name).touch()
    (tmp_path / "folder.nii.gz").mkdir()
    assert cases_in(tmp_path) == {"a.b": tmp_path / "a.b.nrrd", "b": tmp_path / "b.nii.gz", "c": tmp_path / "c.mha"}
    assert cases_in(tmp_path, ".nii.gz") == {"b": tmp_path / "b.nii.gz"}


def test_folders_that_will_not_do(tmp_path):
    with pytest.raises(InputError, match="nowhere: found no such folder, expected a folder of label maps"):
        cases_in(tmp_path / "nowhere")
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "a.nrrd").touch()
    with pytest.raises(InputError, match=r"a.nrrd: found a second file of case a, beside a.nii.gz, expected one"):
        cases_in(tmp_path)


def test_the_image_of_a_case_is_its_first_channel_or_has_its_name(tmp_path):
    touch(tmp_path, "a_0000.nrrd", "a_0001.nrrd", "a.nii.gz", "b.mha", "c_0001.nii.gz", "d_0001.nii.gz")
    names = {case: find_image(tmp_path, case) for case in ("a", "b", "c", "d_0001")}
    found = {"a": "a_0000.nrrd", "b": "b.mha", "d_0001": "d_0001.nii.gz"}
    assert names == {case: tmp_path / found[case] if case in found else None for case in names}

import pytest

from impulse_nnunet.files import whole_file


def write_and_fail(path):
    with whole_file(path) as temporary:
        temporary.write_text("half")
        raise KeyError("disk")


def test_the_file_appears_at_the_end(tmp_path):
    path = tmp_path / "labels.nii.gz"
    with whole_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.name.endswith("labels.nii.gz")  # writers choose a format by the ending
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_left_after_an_error(tmp_path):
    with pytest.raises(KeyError):
        write_and_fail(tmp_path / "labels.nii.gz")
    assert list(tmp_path.iterdir()) == []


def test_an_old_file_survives_an_error_and_yields_to_success(tmp_path):
    path = tmp_path / "labels.nii.gz"
    path.write_text("old")
    with pytest.raises(KeyError):
        write_and_fail(path)
    assert path.read_text() == "old"
    with whole_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_are_made(tmp_path):
    with whole_file(tmp_path / "a" / "b.txt") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "a" / "b.txt").read_text() == "x"


def test_two_files_of_one_folder_can_be_on_their_way(tmp_path):
    with whole_file(tmp_path / "a") as first:
        first.write_text("a")
        with whole_file(tmp_path / "b") as second:
            second.write_text("b")
    assert sorted(p.read_text() for p in tmp_path.iterdir()) == ["a", "b"]

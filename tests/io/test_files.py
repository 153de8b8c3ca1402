import os

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import INCOMPLETE, check_unchanged, remove_leftovers, stamps_of, whole_file


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


def test_a_full_disk_is_a_fault_that_names_the_file(tmp_path):
    def fail():
        with whole_file(tmp_path / "labels.nii.gz"):
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"labels.nii.gz: found a write error \(.*No space left.*expected room"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_processes_go_and_what_is_being_written_stays(tmp_path):
    with whole_file(tmp_path / "new") as path:
        old = tmp_path / f"{INCOMPLETE}old"
        old.mkdir()
        os.utime(old, (0, 0))
        remove_leftovers(tmp_path)
        path.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


def test_a_file_that_changes_or_goes_is_noticed(tmp_path):
    file, other = tmp_path / "a", tmp_path / "b"
    file.write_text("1")
    other.write_text("2")
    before = stamps_of([file, other])
    check_unchanged(before, "case_1")
    file.write_text("longer")
    with pytest.raises(InputError, match=f"case_1: found that {file} changed while it was read"):
        check_unchanged(before, "case_1")
    before = stamps_of([file, other])
    other.unlink()
    with pytest.raises(InputError, match=f"found that {other} changed"):
        check_unchanged(before, "case_1")

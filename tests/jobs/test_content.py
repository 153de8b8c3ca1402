import hashlib
import os
import time

import pytest

from impulse_nnunet.jobs import content
from impulse_nnunet.jobs.content import ABSENT, Contents, are_unchanged, digest_of, note_files


@pytest.fixture
def file(tmp_path):
    """A file that was written a while ago."""
    return written(tmp_path / "a.nii.gz", "12")


def written(path, text, at=1):
    path.write_text(text)
    os.utime(path, (at, at))
    return path


def test_a_digest_is_the_begin_of_sha_256(file):
    assert Contents().digest(file) == hashlib.sha256(b"12").hexdigest()[:32]
    assert Contents().digest(file.with_name("no")) == ABSENT


def test_a_file_that_cannot_be_read_counts_as_absent(file, monkeypatch):
    def refuse(_):
        raise PermissionError

    monkeypatch.setattr(content, "_read", refuse)
    monkeypatch.setattr(content, "_READ", {})
    assert Contents().digest(file) == ABSENT


def test_size_and_time_as_noted_stand_for_the_content(file, monkeypatch):
    noted = note_files([file])
    assert noted == {str(file): (2, 1_000_000_000, hashlib.sha256(b"12").hexdigest()[:32])}
    monkeypatch.setattr(content, "_read", lambda _: pytest.fail("it was read again"))
    monkeypatch.setattr(content, "_READ", {})
    assert are_unchanged(noted, [file])


def test_a_touched_file_is_the_same_and_one_edited_at_equal_size_is_not(file):
    noted = note_files([file])
    written(file, "12", at=2)
    assert are_unchanged(noted, [file])
    written(file, "21", at=3)
    assert not are_unchanged(noted, [file])


def test_a_hard_link_is_not_read_again(file, monkeypatch):
    first = Contents().digest(file)
    os.link(file, file.with_name("link"))
    monkeypatch.setattr(content, "_read", lambda _: pytest.fail("it was read again"))
    assert Contents().digest(file.with_name("link")) == first


def test_a_young_file_is_read_again_even_if_its_time_is_as_noted(tmp_path):
    path = tmp_path / "a"
    path.write_text("12")
    now = time.time_ns()
    os.utime(path, ns=(now, now))
    noted = note_files([path])
    path.write_text("21")  # within the same tick of a coarse clock
    os.utime(path, ns=(now, now))
    assert not are_unchanged(noted, [path])


def test_files_that_came_or_went_are_changes(file, tmp_path):
    noted = note_files([file, tmp_path / "b"])
    assert are_unchanged(noted, [file, tmp_path / "b"])
    written(tmp_path / "b", "1")
    assert not are_unchanged(noted, [file, tmp_path / "b"])
    file.unlink()
    assert not are_unchanged(noted, [file])
    assert not are_unchanged(None, [tmp_path / "b"])


def test_notes_of_an_earlier_form_prove_nothing(file):
    assert not are_unchanged({str(file): [2, 1_000_000_000]}, [file])


def test_a_folder_is_its_names_and_contents_without_hidden_files(tmp_path):
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    written(folder / "deep" / "a", "12")
    first = Contents().digest(folder)
    (folder / ".hidden").write_text("x")
    assert Contents().digest(folder) == first
    (folder / "deep" / "a").rename(folder / "a")
    moved = Contents().digest(folder)
    written(folder / "a", "21", at=2)
    assert len({first, moved, Contents().digest(folder)}) == 3


def test_the_order_of_settings_does_not_count():
    assert digest_of({"a": 1, "b": (2, 3)}) == digest_of({"b": [2, 3], "a": 1}) != digest_of({"a": 1, "b": [3, 2]})

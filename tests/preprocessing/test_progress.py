import json
import os

import numpy as np
import pytest

from impulse_nnunet.preprocessing.progress import FolderInProgress

SETTINGS = {"plans": {"spacing": [1, 1, 1]}, "version": "1"}


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a_0000.nii.gz"
    path.write_text("12")
    return path


def store(progress, source, case="a"):
    progress.begin(case, [source])
    volume = np.zeros((1, 4, 4, 4), np.float16)
    progress.save(case, volume, np.zeros((1, 4, 4, 4), np.int8), {"spacing": [1, 1, 1]})


def test_a_case_is_kept_while_its_source_holds_what_it_held(tmp_path, source):
    final = tmp_path / "data"
    progress = FolderInProgress(final, SETTINGS)
    assert not progress.has("a", [source])
    store(progress, source)
    os.utime(source, (1, 1))
    assert FolderInProgress(final, SETTINGS).has("a", [source])
    source.write_text("21")
    assert not FolderInProgress(final, SETTINGS).has("a", [source])


def test_cases_of_other_settings_or_of_an_earlier_version_are_dropped(tmp_path, source):
    final = tmp_path / "data"
    store(FolderInProgress(final, SETTINGS), source)
    assert not FolderInProgress(final, SETTINGS | {"version": "2"}).has("a", [source])
    assert not list(tmp_path.glob("data.incomplete/*.pkl"))
    store(FolderInProgress(final, SETTINGS), source)
    (tmp_path / "data.incomplete" / "progress" / "settings.json").write_text(json.dumps(SETTINGS))
    assert not FolderInProgress(final, SETTINGS).has("a", [source])


def test_the_folder_appears_when_it_is_complete_without_its_records(tmp_path, source):
    final = tmp_path / "data"
    final.mkdir()
    (final / "old.pkl").touch()
    progress = FolderInProgress(final, SETTINGS)
    store(progress, source)
    progress.finish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_0000.nii.gz", "data"]
    assert sorted(path.name for path in final.iterdir()) == ["a.b2nd", "a.pkl", "a_seg.b2nd"]

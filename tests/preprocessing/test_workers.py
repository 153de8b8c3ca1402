import logging

import numpy as np
import pytest

from impulse_nnunet.preprocessing import workers
from impulse_nnunet.preprocessing.workers import affordable_workers
from tests.support import write_nifti


@pytest.fixture
def cases(tmp_path):
    small = write_nifti(tmp_path / "a_0000.nii.gz", np.zeros((4, 5, 6), np.int16))
    large = write_nifti(tmp_path / "b_0000.nii.gz", np.zeros((10, 10, 10), np.int16))
    (tmp_path / "c_0000.nii.gz").write_text("no image")
    return {"a": {"images": [small]}, "b": {"images": [large]}, "c": {"images": [str(tmp_path / "c_0000.nii.gz")]}}


# 1000 voxels of 20 bytes, 8 more for each further channel; four fifths of what is free may be taken
@pytest.mark.parametrize(
    ("free", "channels", "expected"),
    [(10**9, 1, 8), (200_001, 1, 8), (130_000, 1, 5), (130_000, 4, 2), (20_000, 1, 1), (1, 1, 1)],
)
def test_as_many_cases_as_memory_allows(cases, monkeypatch, caplog, free, channels, expected):
    monkeypatch.setattr(workers, "available_bytes", lambda: free)
    with caplog.at_level(logging.INFO):
        assert affordable_workers(8, cases, channels) == expected
    assert [" b takes up to " in record.getMessage() for record in caplog.records] == [True] * (expected < 8)


def test_one_worker_needs_no_look(monkeypatch):
    monkeypatch.setattr(workers, "available_bytes", lambda: 0)
    assert affordable_workers(1, {"a": {"images": ["not there"]}}, 1) == 1
    assert affordable_workers(0, {}, 1) == 1
    assert affordable_workers(4, {}, 1) == 4

"""Fixtures of the trainings here; those of the shared workplace are registered in tests/conftest.py."""

import json

import pytest

from tests.workplace import MODEL, TINY, Workplace, make_workplace, plan

__all__ = ["MODEL", "TINY", "Workplace", "make_workplace", "plan"]


@pytest.fixture
def folders(planned, monkeypatch, tmp_path):
    """The planned data set, and a results folder of the test's own."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_extTrainer", "nnUNet_n_proc_DA"):
        monkeypatch.setenv(name, planned.environment[name])
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    return planned


@pytest.fixture
def plans(folders):
    """The plans file's content; written back as it was."""
    path = folders.preprocessed / "ImPulSePlans.json"
    before = path.read_text()
    yield json.loads(before)
    path.write_text(before)

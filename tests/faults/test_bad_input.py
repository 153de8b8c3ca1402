"""A fixed sample of the mutated files of ``make soak``."""

import pytest

from tests.faults.fuzz import Fuzzer, Tally, fuzz

pytestmark = pytest.mark.slow
CASES = 60


def test_mutated_files_end_in_labels_on_their_grid_or_in_one_line(trained, tmp_path, monkeypatch):
    for name in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setenv(name, str(tmp_path / "fuzz" / name))
    monkeypatch.setenv("nnUNet_extTrainer", trained.environment["nnUNet_extTrainer"])
    (tmp_path / "fuzz").mkdir()
    tally = Tally()
    fuzz(Fuzzer(tmp_path / "fuzz", trained.model, tally), CASES, seed=None)
    assert tally.wrong == []
    ends = {end: number for end, number in tally.ended.items() if number > 0}
    assert tally.cases >= CASES
    assert {"predict: accepted", "predict: refused", "evaluate: refused", "plan_and_preprocess: refused"} <= set(ends)

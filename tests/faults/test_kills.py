"""A few of the faults of ``make soak``: SIGKILL and SIGTERM, and the next call ends as if nothing had been."""

from __future__ import annotations

import pytest

from tests.faults import subjects
from tests.faults.harness import Harness

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def disturb(trained, tmp_path_factory):
    subjects.write_fault_plans(trained)
    harness = Harness(tmp_path_factory.mktemp("faults"), seed=1)
    return lambda subject, moments, kinds: harness.disturbed(subject(trained), len(moments), moments, kinds)


@pytest.mark.parametrize(
    ("subject", "moments", "kinds"),
    [
        (subjects.preprocessing, (0.4, 0.7), ("SIGKILL+workers", "SIGTERM")),
        (subjects.training, (0.2, 0.5, 0.3), ("SIGTERM", "SIGKILL", "SIGTERM")),
        (subjects.prediction, (0.5, 0.3), ("SIGKILL", "SIGTERM")),
        (subjects.evaluation, (0.6,), ("SIGKILL",)),
    ],
    ids=["preprocessing", "training", "prediction", "evaluation"],
)
def test_the_next_call_goes_on(disturb, subject, moments, kinds):
    trial = disturb(subject, moments, kinds)
    assert trial.lost == ""
    assert trial.faults, "no kill met a running process"

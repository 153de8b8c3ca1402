"""A fixed sample of the spoilt cases of ``make soak``."""

import pytest

from tests.faults.fuzz import Tally
from tests.faults.implausible import IMAGES, LABEL_MAPS, spoil

pytestmark = pytest.mark.slow


def test_spoilt_cases_are_said_to_be_and_others_are_not(tmp_path):
    tally = Tally()
    spoil(tmp_path, tally, 60, seed=0)
    assert tally.wrong == []
    assert tally.cases >= 60
    ways = {end.rpartition(": ")[0] for end in tally.ended}
    assert {f"predict, {how}" for how in IMAGES} <= ways
    assert len(ways & {f"labels, {how}" for how in LABEL_MAPS}) >= 4

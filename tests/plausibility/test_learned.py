"""The plans' entry: JSON there and back, and entries that a user spoilt."""

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.plausibility.learned import LearnedPlausibility
from impulse_nnunet.settings import from_json, to_json
from tests.plausibility.test_labels import LEARNED
from tests.plausibility.test_masks import LEARNED as MASKS


def test_there_and_back():
    content = to_json(LearnedPlausibility(cases=9, masks=MASKS, labels=LEARNED.labels, volume_ml=LEARNED.volume_ml))
    assert to_json(from_json(LearnedPlausibility, content, "impulse.plausibility")) == content
    assert not LEARNED.is_empty
    assert LearnedPlausibility().is_empty


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"volume_ml": [1.0]}, "other numbers than the planner writes, expected nothing or 2 numbers in volume_ml"),
        ({"touching": [0.1, 0.2]}, "expected nothing or 6 numbers in touching"),
        ({"labels": [{"label": 1}]}, "impulse.plausibility.labels"),
        ({"labels": [to_json(LEARNED.labels[0]) | {"place": [0.0]}]}, r"place: found \[0.0\], expected 6 entries"),
        ({"labels": [to_json(LEARNED.labels[0]) | {"values": [0.0]}]}, "nothing or 2 numbers in values"),
        ({"channels": [to_json(LEARNED.channels[0]) | {"width": 0.0}]}, "expected a histogram"),
        ({"masks": [to_json(MASKS[0]) | {"middle": [0.0]}]}, "nothing or 5 numbers in middle"),
        ({"organs": []}, "found the unknown setting 'organs'"),
    ],
)
def test_a_spoilt_entry_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        from_json(LearnedPlausibility, to_json(LEARNED) | change, "impulse.plausibility")

import re

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.lungs.anatomy import LOBE_OF_SEGMENT, LOBES, SEGMENTS
from impulse_nnunet.phantom.settings import PhantomSettings


def test_labels_are_those_of_the_paper():
    # right S1 to S10 are 1 to 10, left S1+2, S3, S4, S5, S6, S7+8, S9, S10 are 11 to 18
    assert len(SEGMENTS) == 18
    assert (SEGMENTS[0], SEGMENTS[9], SEGMENTS[10], SEGMENTS[15]) == ("right S1", "right S10", "left S1+2", "left S7+8")
    assert LOBE_OF_SEGMENT == (0, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5)
    assert sorted(part for parts in LOBES.values() for part in parts) == list(range(1, 19))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (8, 64, 64)}, "`size`: found 8 64 64, expected 16 to 2048"),
        ({"spacing_mm": (0.1, 1, 1)}, "`spacing_mm`: found 0.1 1 1, expected 0.3 to 12 mm"),
        (
            {"spacing_mm": (1, 1, 1)},
            "`size` and `spacing_mm`: found 128 x 160 x 160 mm, expected at least 285 x 270 x 320",
        ),
        ({"slice_spacing_mm": (0.5, 5)}, "`slice_spacing_mm`: found 0.5 5, expected lowest and highest, 0.6 to 5 mm"),
        ({"slice_spacing_mm": (3, 2)}, "`slice_spacing_mm`: found 3 2"),
        ({"contrast": "late"}, "`contrast`: found 'late', expected none or contrast or mixed"),
        ({"seed": -1}, "`seed`: found -1"),
        ({"anomalies": 1.5}, "`anomalies`: found 1.5, expected a share"),
        ({"disconnected": -0.1}, "`disconnected`: found -0.1"),
        ({"noise_hu": (30, 10)}, "`noise_hu`: found 30 10"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        PhantomSettings(**changes)


def test_varying_slices_cover_the_lungs_whatever_the_number_of_slices():
    settings = PhantomSettings(size=(16, 512, 512), spacing_mm=(1, 0.7, 0.7), slice_spacing_mm=(1, 2))
    assert settings.slice_spacing_mm == (1, 2)

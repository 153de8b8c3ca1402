import re
from pathlib import Path

import pytest
from pydicom.sr.codedict import codes

from impulse_nnunet.outputs.codes import ANATOMY, FMA, LOBES, PRIVATE, SEGMENTS, SIDES, SNOMED, STRUCTURES, coded

DOCS = Path(__file__).resolve().parents[2] / "docs" / "dicom.md"
# pydicom's tables are made from PS3.16: keyword -> our code
STANDARD = {
    "AnatomicalStructure": ANATOMY,
    "Right": SIDES["right"],
    "Left": SIDES["left"],
    "UpperLobeOfLung": LOBES["upper"],
    "MiddleLobeOfRightLung": LOBES["middle"],
    "LowerLobeOfLung": LOBES["lower"],
    "Lung": STRUCTURES["lung"],
    "Trachea": STRUCTURES["trachea"],
    "Bronchus": STRUCTURES["bronchus"],
    "PulmonaryArtery": STRUCTURES["pulmonary artery"],
    "PulmonaryVein": STRUCTURES["pulmonary vein"],
    "PosteriorSegmentOfRightUpperLobe": SEGMENTS["right", "2"],
    "AnteriorSegmentOfRightUpperLobe": SEGMENTS["right", "3"],
    "AnteriorSegmentOfLeftUpperLobe": SEGMENTS["left", "3"],
}


@pytest.mark.parametrize("keyword", STANDARD)
def test_snomed_codes_are_those_of_the_standard(keyword):
    theirs, ours = getattr(codes.SCT, keyword), STANDARD[keyword]
    assert (ours.value, ours.scheme, ours.meaning) == (theirs.value, "SCT", theirs.meaning)


def test_every_snomed_code_is_compared():
    ours = [ANATOMY, *SIDES.values(), *LOBES.values(), *STRUCTURES.values(), *SEGMENTS.values()]
    assert {code for code in ours if code.scheme == SNOMED} == set(STANDARD.values())


def test_fma_codes_are_those_of_the_table_in_the_docs():
    rows = re.findall(r"^\| (right|left) S([\d+]+) \|.*\| FMA (\d+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    found = {(side, number): value for side, number, value in rows}
    assert found == {name: code.value for name, code in SEGMENTS.items() if code.scheme == FMA}
    assert len(found) == 14


@pytest.mark.parametrize(
    ("name", "value", "side"),
    [
        ("right S1", "7338", None),
        ("RS2", "3236000", None),
        ("left S1+2", "7372", None),
        ("left s10", "7380", None),
        ("lung_upper_lobe_left", "45653009", "Left"),
        ("right lower lobe", "90572001", "Right"),
        ("right middle lobe", "72481006", None),
        ("RML", "72481006", None),
        ("left lung", "39607008", "Left"),
        ("lung", "39607008", None),
        ("pulmonary_vein", "122972007", None),
        ("bronchus", "955009", None),
    ],
)
def test_names_that_have_a_code(name, value, side):
    found = coded(name)
    assert found.kind.value == value
    assert (found.side and found.side.meaning) == side
    assert not found.is_private


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("right S7", "RIGHT_S7"),
        ("left S7+8", "LEFT_S7_8"),
        ("right S1a", "RIGHT_S1A"),
        ("left S1", "LEFT_S1"),
        ("artery", "ARTERY"),  # of what?
        ("left middle lobe", "LEFT_MIDDLE_LOBE"),
        ("label 7", "LABEL_7"),
        ("left right lung", "LEFT_RIGHT_LUNG"),
        # printf 'a name of more than sixteen characters' | sha256sum
        ("a name of more than sixteen characters", "6D89F198CC559EC8"),
    ],
)
def test_names_without_a_checked_code_get_a_private_one(name, value):
    found = coded(name)
    assert (found.kind.scheme, found.kind.value, found.kind.meaning) == (PRIVATE, value, name)
    assert found.is_private
    assert found.side is None

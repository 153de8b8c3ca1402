import json

import numpy as np
import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.lungs.anatomy import BAV, LOBES
from impulse_nnunet.lungs.label_mapping import (
    LabelMapping,
    lobes_of_segments,
    mapping_from_dataset_json,
    mapping_from_tokens,
)


def test_values_of_a_flag():
    mapping = mapping_from_tokens("bav_labels", ["vein=4", "bronchus=1,2", "artery=3", "none=7"], BAV)
    labels = np.array([[[0, 1, 2], [3, 4, 7]]])
    # bronchus is number 1, artery 2, vein 3, whatever the order of the flag
    assert mapping.index_map(labels, "file").tolist() == [[[0, 1, 1], [2, 3, 0]]]


def test_lobes_by_their_codes():
    mapping = mapping_from_tokens("lobe_labels", ["LLL=1", "LUL=2", "RLL=3", "RML=4", "RUL=5"], tuple(LOBES))
    assert mapping.index_map(np.array([1, 2, 3, 4, 5]), "f").tolist() == [5, 4, 3, 2, 1]


def test_totalsegmentators_lung_vessels():
    # 1 airways, 2 airway wall, 3 arteries, 4 veins
    mapping = mapping_from_tokens("bav_labels", ["totalsegmentator"], BAV)
    assert mapping.index_map(np.arange(5), "f").tolist() == [0, 1, 1, 2, 3]


def test_totalsegmentators_total():
    # 10 left upper, 11 left lower, 12 right upper, 13 right middle, 14 right lower lobe; 117 classes in all
    mapping = mapping_from_tokens("lobe_labels", ["TotalSegmentator"], tuple(LOBES))
    assert mapping.index_map(np.array([0, 9, 10, 11, 12, 13, 14, 15, 117]), "f").tolist() == [0, 0, 4, 5, 1, 2, 3, 0, 0]


def test_the_lobes_in_a_map_of_segments():
    table = [0, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5]
    assert lobes_of_segments().index_map(np.arange(19), "f").tolist() == table


def test_a_value_that_the_mapping_misses_is_refused_with_value_file_and_mapping():
    mapping = mapping_from_tokens("bav_labels", ["bronchus=1", "artery=3", "vein=4"], BAV)
    message = (
        r"case\.nii\.gz: found value 2 in 3 voxels, which `bav_labels` does not name, "
        r"expected 0 or bronchus=1, artery=3, vein=4; complete the mapping \(none=2 "
    )
    with pytest.raises(InputError, match=message):
        mapping.index_map(np.array([0, 2, 2, 2, 4]), "case.nii.gz")


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (
            ["bronchus=1", "artery=2"],
            "`bav_labels`: found no value for vein, expected bronchus=1 artery=2 vein=3",
        ),
        (["bronchus=1", "artery=2", "nerve=3"], "`bav_labels` nerve=3: found no such entry"),
        (["bronchus=1", "artery=x", "vein=3"], "`bav_labels` artery=x: found no such entry"),
        (["bronchus", "artery=2", "vein=3"], "`bav_labels` bronchus: found no such entry"),
        (["bronchus=1", "artery=1", "vein=3"], "`bav_labels`: found value 1 twice, expected each value in one place"),
        (["bronchus=0", "artery=1", "vein=3"], "`bav_labels`: found value 0, which is background"),
        (["bronchus=1", "bronchus=2", "vein=3"], "`bav_labels` bronchus=2: found no such entry"),
        (["slicer"], "`bav_labels` slicer: found no such entry"),
    ],
)
def test_bad_flags(tokens, message):
    with pytest.raises(InputError, match=message):
        mapping_from_tokens("bav_labels", tokens, BAV)


def test_names_of_a_dataset_json(tmp_path):
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({"labels": {"background": 0, "Heart": 1, "Airway": 2, "artery": 3, "vein": 4}}))
    mapping = mapping_from_dataset_json(path, BAV, "`bav_labels`")
    assert mapping.index_map(np.arange(5), "f").tolist() == [0, 0, 1, 2, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "found no such file, expected nnU-Net's dataset.json; give `bav_labels`"),
        ("{", "found no valid JSON"),
        ('{"labels": {"bronchus": [1, 2]}}', "found no valid entry 'labels'"),
        ('{"labels": {"background": 0, "bronchus": 1, "artery": 2}}', "found labels without 'vein'"),
    ],
)
def test_a_dataset_json_that_does_not_say_it(tmp_path, content, message):
    if content is not None:
        (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(InputError, match=message):
        mapping_from_dataset_json(tmp_path / "dataset.json", BAV, "`bav_labels`")


def test_a_mapping_as_text():
    assert str(LabelMapping(origin="x", values={"a": (1, 2), "b": (3,)})) == "a=1,2, b=3"


def test_totalsegmentators_older_lung_vessels_is_told_by_its_values():
    # versions before had 1 vessels, 2 airways: "bronchus" would be both of them, and arteries and veins nowhere
    mapping = mapping_from_tokens("bav_labels", ["totalsegmentator"], BAV)
    message = (
        r"ts/c0\.nii\.gz: found values 0, 1, 2: an older lung_vessels \(1 vessels, 2 airways\), expected bronchus=1,2, "
        r"artery=3, vein=4 as `bav_labels` totalsegmentator has them; take the preset of the version"
    )
    with pytest.raises(InputError, match=message):
        mapping.index_map(np.array([0, 1, 1, 2]), "ts/c0.nii.gz")


@pytest.mark.parametrize(("lacking", "title"), [(3, "artery"), (4, "vein")])
def test_a_map_that_lacks_a_value_of_its_preset_is_refused(lacking, title):
    mapping = mapping_from_tokens("bav_labels", ["totalsegmentator"], BAV)
    present = np.array([value for value in range(5) if value != lacking])
    with pytest.raises(InputError, match=f"found values 0, 1, 2, {7 - lacking}: no {title}, expected bronchus=1,2"):
        mapping.index_map(present, "f")
    by_name = mapping_from_tokens("bav_labels", ["bronchus=1,2", "artery=3", "vein=4"], BAV)
    assert by_name.index_map(present, "f").max() == (3 if lacking == 3 else 2)  # a user who names values may


# version 1's total: 10 pancreas, 11 and 12 adrenal glands, then LUL, LLL, RUL, RML, RLL; version 2's: the lobes from 10
# on (LUL, LLL, RUL, RML, RLL), then oesophagus, trachea, thyroid
FIRST = np.repeat(np.arange(19), [9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, 1, 40, 40, 40, 40, 40, 3])
SECOND = np.repeat(np.arange(19), [9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40, 40, 40, 40, 40, 2, 2, 2, 3])


def test_versions_of_totalsegmentators_total_are_told_apart():
    new, old = (
        mapping_from_tokens("lobe_labels", [name], tuple(LOBES)) for name in ("totalsegmentator", "totalsegmentator1")
    )
    assert np.bincount(new.index_map(SECOND, "f"))[1:].tolist() == [40] * 5
    assert np.bincount(old.index_map(FIRST, "f"))[1:].tolist() == [40] * 5
    with pytest.raises(
        InputError, match=r"found values 0, 10, 11, .*: version 1 \(totalsegmentator1\), expected right"
    ):
        new.index_map(FIRST, "f")
    with pytest.raises(InputError, match=r"found values 0, 10, 11, .*: version 2 \(totalsegmentator\), expected right"):
        old.index_map(SECOND, "f")


def test_version_1_has_no_arteries():
    with pytest.raises(InputError, match="`bav_labels` totalsegmentator1: found no such entry"):
        mapping_from_tokens("bav_labels", ["totalsegmentator1"], BAV)

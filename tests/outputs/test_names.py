import json

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.outputs.names import LabelNames, find_names, lobe_by_name

SEGMENTS = {"background": 0, "right S1": 1, "right S4": 2, "left S1+2": 3, "left S6": 4}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "lobe"),
    [
        ("right S1", "right upper lobe"),
        ("right S3", "right upper lobe"),
        ("R_S4", "right middle lobe"),
        ("RS10", "right lower lobe"),
        ("left S1+2", "left upper lobe"),
        ("left S5", "left upper lobe"),
        ("left S7+8", "left lower lobe"),
        ("LS6", "left lower lobe"),
        ("lung_upper_lobe_left", "left upper lobe"),
        ("Right Middle Lobe", "right middle lobe"),
        ("LLL", "left lower lobe"),
        ("right S11", None),
        ("right S0", None),
        ("right S3+4", None),  # of two lobes
        ("S1", None),  # a vertebra, or a segment of the liver
        ("vertebrae_S1", None),
        ("nerve root left S1", None),
        ("kidney_left", None),
        ("upper lobe nodule left", None),
        ("", None),
    ],
)
def test_lobes_by_names(name, lobe):
    assert lobe_by_name(name) == lobe


def test_names_of_dataset_json_beside_or_above(tmp_path):
    write(tmp_path / "dataset.json", {"labels": SEGMENTS | {"ignore": 5}})
    for place in (tmp_path / "labelsTs", tmp_path / "labelsTs" / "a.nii.gz", tmp_path / "a.nii.gz"):
        place.mkdir(parents=True, exist_ok=True) if not place.suffix else place.touch()
        found = find_names(place)
        assert found.names == {1: "right S1", 2: "right S4", 3: "left S1+2", 4: "left S6"}
        assert found.ignore_label == 5
        assert found.lobes == {
            "right upper lobe": (1,),
            "right middle lobe": (2,),
            "left upper lobe": (3,),
            "left lower lobe": (4,),
        }
        assert found.lungs == {"right lung": (1, 2), "left lung": (3, 4)}
        assert found.source == tmp_path / "dataset.json"


def test_lobes_that_dataset_json_lists_count(tmp_path):
    path = write(tmp_path / "dataset.json", {"labels": SEGMENTS, "lobes": {"RUL": [1, 2], "other": [3]}})
    found = find_names(tmp_path, path)
    assert found.lobes == {"RUL": (1, 2), "other": (3,)}
    assert found.lungs == {"right lung": (1, 2)}


def test_without_names_numbers(tmp_path):
    found = find_names(tmp_path)
    assert (found.names, found.lobes, found.lungs, found.source) == ({}, {}, {}, None)
    assert found.name(7) == "label 7"
    assert found.file_names([7]) == {7: "label_7"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("n.json", {"1": "right lung", "2": "left lung"}),
        ("n.json", {"background": 0, "right lung": 1, "left lung": 2}),
        ("n.csv", "label,name\n1,right lung\n2,left lung\n"),
        ("n.txt", "# names\n0 background\n1 right lung\n\n2 left lung\n"),
        ("n.tsv", "1\tright lung\n2\tleft lung"),
        ("n.csv", '\ufeff1;"right lung"\n2;"left lung"'),
    ],
)
def test_tables_of_names(tmp_path, name, content):
    found = find_names(tmp_path, write(tmp_path / name, content))
    assert found.names == {1: "right lung", 2: "left lung"}
    assert found.lungs == {"right lung": (1,), "left lung": (2,)}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("n.csv", "one two", "line 'one two', expected a dataset.json"),
        ("n.csv", "1,a\n1,b", "label 1 twice, expected one name a label"),
        ("n.csv", "", "expected names of labels from 1 to 65535"),
        ("n.csv", "70000,a", "expected names of labels from 1 to 65535"),
        ("n.json", {"a": "b"}, "expected a dataset.json"),
        ("n.json", {"labels": {"whole": [1, 2]}}, "regions.*, expected one number a label; give a table"),
        ("n.json", "no json", "no valid JSON"),
    ],
)
def test_bad_tables_are_named(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message):
        find_names(tmp_path, write(tmp_path / name, content))
    with pytest.raises(InputError, match=r"gone.csv: found no such file, .*; check `names`"):
        find_names(tmp_path, tmp_path / "gone.csv")


def test_names_of_files_are_safe_and_different():
    names = LabelNames(names={1: "a/b", 2: "A b", 3: "../", 4: "left S1+2", 5: "é", 6: "a b"})
    assert names.file_names([1, 2, 3, 4, 5, 6]) == {
        1: "a_b_1",
        2: "A_b_2",
        3: "label_3",
        4: "left_S1+2",
        5: "é",
        6: "a_b_6",
    }


def test_labels_by_number_or_name():
    names = LabelNames(names={1: "right S1", 4: "left S4"})
    assert names.chosen(["left S4", "1", "9", "1"]) == (4, 1, 9)
    for wrong in ("right S2", "0", "-1", "1.5"):
        with pytest.raises(InputError, match=r"`labels`: found '.*', expected .* \(1 right S1, 4 left S4\)"):
            names.chosen([wrong])


def test_a_colour_does_not_depend_on_what_a_case_has():
    names = LabelNames(names={1: "right S1", 2: "right S2", 3: "left S6"}, lobes={"RUL": (1, 2), "LLL": (3,)})
    assert names.style([3]).colour(3) == names.style([1, 2, 3]).colour(3)
    assert names.style([3, 8]).names[8] == "label 8"

import json
import os
import re

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.report.summaries import read_evaluations
from tests.evaluation.report.folders import case_entry, is_nan, write_method, write_summary


def test_numbers_names_and_trees(tmp_path):
    folder = write_summary(tmp_path / "ours", [case_entry(tmp_path / "ours", "c0", NIB=0.0, IDB_mm=None)])
    (method,) = read_evaluations([str(folder)])
    case = method.cases["c0"]
    assert (method.name, case.dice, case.labels[2]["NSD_1mm"]) == ("ours", 0.8, 0.8)
    assert is_nan(case.paper["IDB_mm"])
    assert is_nan(method.paper["IDB_mm"])
    assert method.n_nan["IDB_mm"] == 1
    assert method.label_names == {1: "right S1", 2: "right S2", 3: "left S1+2", 4: "left S3"}
    assert method.lobes == {"right upper lobe": [1, 2], "left upper lobe": [3, 4]}
    assert case.trees["airway"]["NI"] == 1


def test_names_tell_folders_apart(tmp_path):
    first, second = (write_method(tmp_path / parent, "validation", (0.5,)) for parent in ("fold_0", "fold_1"))
    third = write_method(tmp_path, "other", (0.5,))
    names = [method.name for method in read_evaluations([str(first), str(second), f"mine={third}"])]
    assert names == ["fold_0/validation", "fold_1/validation", "mine"]


def test_a_folder_with_an_equals_sign_and_the_file_itself(tmp_path):
    folder = write_method(tmp_path, "lr=0.1", (0.5,))
    assert [method.name for method in read_evaluations([str(folder)])] == ["lr=0.1"]
    assert read_evaluations([f"a={folder / 'summary.json'}"])[0].name == "a"


def test_a_moved_folder_is_found(tmp_path):
    folder = write_method(tmp_path, "ours", (0.5,))
    moved = folder.rename(tmp_path / "moved")
    assert read_evaluations([str(moved)])[0].cases["c0"].prediction_file == moved / "c0.nii.gz"


def test_label_maps_that_are_newer_than_their_scores_are_named(tmp_path, caplog):
    folder = write_method(tmp_path, "ours", (0.5, 0.6))
    for name in ("c0", "c1"):
        (folder / f"{name}.nii.gz").touch()
        os.utime(folder / f"{name}.nii.gz", (100, 100))
    os.utime(folder / "summary.json", (200, 200))
    read_evaluations([str(folder)])
    assert caplog.text == ""
    os.utime(folder / "c1.nii.gz", (201, 201))
    read_evaluations([str(folder)])
    assert "the label maps of 1 of 2 case(s) are newer than these scores (c1); evaluate again" in caplog.text


def test_labels_without_names(tmp_path):
    folder = write_method(tmp_path, "ours", (0.5,), settings={"label_names": None, "lobes": None})
    (method,) = read_evaluations([str(folder)])
    assert method.label_names[3] == "label 3"
    assert method.lobes == {}


def refused(argument, text):
    with pytest.raises(InputError, match=re.escape(text)):
        read_evaluations(argument)


def test_a_folder_that_was_not_evaluated(tmp_path):
    refused([str(tmp_path)], "no summary.json, expected an evaluated prediction folder; run `impulse_nnunet evaluate`")


def test_a_summary_of_nnunet(tmp_path):
    entry = {"reference_file": "a", "prediction_file": "b", "metrics": {"1": {"Dice": 0.5}}}
    content = {"foreground_mean": {"Dice": 0.5}, "mean": {"1": {"Dice": 0.5}}, "metric_per_case": [entry]}
    (tmp_path / "summary.json").write_text(json.dumps(content))
    refused([str(tmp_path)], 'no "paper" numbers (nnU-Net\'s own summary has none), expected our summary; run')


def test_broken_json(tmp_path):
    (tmp_path / "summary.json").write_text('{"paper": ')
    refused([str(tmp_path)], "broken JSON")


def test_json_that_is_no_summary(tmp_path):
    (tmp_path / "summary.json").write_text("[1]")
    refused([str(tmp_path)], "found a list, expected a JSON object")


def test_an_entry_that_does_not_fit(tmp_path):
    entry = case_entry(tmp_path / "ours", "c0")
    folder = write_summary(tmp_path / "ours", [entry])
    content = json.loads((folder / "summary.json").read_text())
    del content["metric_per_case"][0]["metrics"]
    (folder / "summary.json").write_text(json.dumps(content))
    refused([str(folder)], "an entry that does not fit (KeyError: 'metrics')")


def test_no_case_was_evaluated(tmp_path):
    folder = write_summary(tmp_path / "ours", [], failures={"c7": "no file", "c8": "no file"})
    refused([str(folder)], "no evaluated case (2 failed; c7: no file), expected one case at least")


def test_half_of_a_name_and_a_name_twice(tmp_path):
    folder = write_method(tmp_path, "ours", (0.5,))
    refused([f"={folder}"], "found half of NAME=FOLDER")
    refused([f"a={folder}", f"a={folder}"], "found the name 'a' twice, expected one name for each folder")
    refused([str(folder), str(folder)], "expected one name for each folder; give NAME=FOLDER")

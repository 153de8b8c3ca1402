import json
import math

import numpy as np
import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.comparison.methods import read_methods, read_summary
from tests.evaluation.summary_files import write, write_two


@pytest.fixture
def two(tmp_path):
    return write_two(tmp_path)


def test_numbers_of_our_summary(two):
    summary = read_summary(two / "new" / "summary.json")
    assert summary.values["c0"] == {"Dice": 0.6, "NIB": 1, "IDB_mm": 1.5}
    assert math.isnan(summary.values["c1"]["IDB_mm"])
    assert summary.settings["connectivity"] == 26
    assert summary.reference_sizes["c2", "1"] == 10
    assert read_summary(two / "new").path == summary.path


def test_nnunets_summary_gives_the_mean_dice_over_labels(tmp_path):
    entries = [
        # background is not a label to average over, and a label in neither map is left out
        {
            "reference_file": "/ref/case.1.nii.gz",
            "prediction_file": "/pred/case.1.nii.gz",
            "metrics": {"0": {"Dice": 1.0}, "1": {"Dice": 0.5, "n_ref": 4}, "2": {"Dice": 0.7}, "3": {"Dice": np.nan}},
        },
        {"reference_file": "r", "prediction_file": "C:\\pred\\b.nrrd", "metrics": {"(1, 2)": {"Dice": 0.25}}},
    ]
    (tmp_path / "summary.json").write_text(json.dumps({"metric_per_case": entries, "foreground_mean": {}}))
    summary = read_summary(tmp_path)
    assert summary.values == {"case.1": {"Dice": pytest.approx(0.6)}, "b": {"Dice": 0.25}}
    assert summary.settings is None
    assert summary.reference_sizes == {("case.1", "1"): 4}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"found no such file, expected a summary.json or its folder"),
        ("{", r"found no JSON \(Expecting"),
        ("\udcff", r"found no JSON \('utf-8'"),
        ("[]", "found no metric_per_case, expected numbers of each case"),
        ('{"metric_per_case": []}', "found no metric_per_case"),
        ('{"metric_per_case": [{"metrics": {}}]}', "found an entry without a case"),
        ('{"metric_per_case": [3]}', "found an entry without a case"),
        ('{"metric_per_case": [{"case": "a", "paper": {}}, {"case": "a", "paper": {}}]}', "case a: found it twice"),
        (
            '{"metric_per_case": [{"case": "a", "paper": {"Dice": "x"}}]}',
            "a: Dice: found 'x', expected a finite number",
        ),
        ('{"metric_per_case": [{"case": "a", "paper": {"Dice": Infinity}}]}', "found inf, expected a finite number"),
    ],
)
def test_a_summary_that_cannot_be_read(tmp_path, content, message):
    path = tmp_path / "summary.json"
    if content is not None:
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message) as error:
        read_summary(path)
    assert str(path) in str(error.value)


def test_methods_are_called_after_their_folders(two):
    assert [method.name for method in read_methods([str(two / "old"), str(two / "new" / "summary.json")])] == [
        "old",
        "new",
    ]


def test_folders_above_tell_methods_apart(tmp_path):
    for model in ("a", "b"):
        write(tmp_path / model / "fold_0" / "validation", {"Dice": [0.5]})
    arguments = [str(tmp_path / model / "fold_0" / "validation") for model in ("a", "b")]
    assert [method.name for method in read_methods(arguments)] == ["a/fold_0/validation", "b/fold_0/validation"]


def test_names_and_several_runs(two):
    old, ours = read_methods([str(two / "old"), f"ours={two / 'new'},{two / 'old'}"])
    assert (old.name, ours.name, len(ours.runs)) == ("old", "ours", 2)


def test_a_path_with_signs_in_it_is_a_path(tmp_path):
    one, other = write(tmp_path / "lr=0.1,b", {"Dice": [0.5]}), write(tmp_path / "c", {"Dice": [0.5]})
    methods = read_methods([str(one), f"x={one}", str(other)])
    assert [(method.name, len(method.runs)) for method in methods] == [("lr=0.1,b", 1), ("x", 1), ("c", 1)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{old}"], r"found 1 method\(s\), expected at least two"),
        (["a={old}", "a={new}"], "method a: found the name twice, expected one name per method"),
        (["{old}", "{old}"], "found the same file or name twice, expected methods that differ; give names"),
        (["={old}", "{new}"], "found an empty name or path, expected NAME=PATH"),
        (["a=", "{new}"], "found an empty name or path"),
        (["a={old},{old}x", "{new}"], "oldx: found no such file"),
    ],
)
def test_methods_that_make_no_sense(two, monkeypatch, arguments, message):
    monkeypatch.chdir(two)
    with pytest.raises(InputError, match=message):
        read_methods([argument.format(old="old", new="new") for argument in arguments])

"""Splits written by hand."""

import json

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.nnunet.datasets import check_splits, parse_splits

CASES = [f"case_{number}" for number in range(6)]
GOOD = [{"train": CASES[:4], "val": CASES[4:]}]


def checked(tmp_path, content):
    path = tmp_path / "splits_final.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    splits = parse_splits(path)
    check_splits(path, splits, CASES)
    return splits


def test_a_good_one(tmp_path):
    assert checked(tmp_path, GOOD) == GOOD
    assert checked(tmp_path, [*GOOD, {"train": CASES[1:], "val": CASES[:1]}])[1]["val"] == ["case_0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "splits_final.json: found no valid JSON"),
        (GOOD[0], "splits_final.json: found an object, expected a list of splits"),
        ([], r"splits_final.json: found \[\], expected a list of splits"),
        ([{"training": CASES[:4], "val": CASES[4:]}], "split 0: found no list 'train', expected a list of splits"),
        ([*GOOD, {"train": CASES[:4], "val": "case_5"}], "split 1: found no list 'val'"),
        ([{"train": CASES[:4], "val": [5]}], "split 0: found no list 'val'"),
        ([{"train": CASES, "val": []}], "split 0: found no case in 'val', expected one or more; name some"),
        ([{"train": [], "val": CASES}], "split 0: found no case in 'train'"),
        (
            [{"train": [f"{case}_0000" for case in CASES[:4]], "val": CASES[4:]}],
            "split 0: found 'case_0_0000' in 'train' and 3 more, expected identifiers .*; write 'case_0'$",
        ),
        ([{"train": CASES[:4], "val": ["case_5.nii.gz"]}], "found 'case_5.nii.gz' in 'val', .*; write 'case_5'$"),
        ([{"train": CASES[:4], "val": ["case_5_0000.nii.gz"]}], "write 'case_5'$"),
        ([{"train": CASES[:4], "val": ["case_9"]}], "found 'case_9' in 'val', .*; correct the identifier, or"),
    ],
)
def test_what_no_training_can_go_by_is_named(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        checked(tmp_path, content)

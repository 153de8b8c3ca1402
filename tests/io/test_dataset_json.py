import json
from pathlib import Path

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dataset_json import (
    channel_names,
    channel_titles,
    check_channel_order,
    find_dataset_json,
    read_dataset_json,
    sampled_channels,
    tree_folders,
)
from tests.evaluation.image_files import dataset_json


def content(*names, **entries):
    return {"channel_names": {str(n): name for n, name in enumerate(names)}} | entries


def test_without_our_entry_all_masks_are_sampled():
    found = content("CT", "noNorm", "noNorm")
    assert channel_titles(found) is None
    assert sampled_channels(found, (1, 2)) == (1, 2)
    assert tree_folders(found) == ()


def test_lobes_are_masks_that_are_not_sampled():
    found = content("noNorm", "noNorm", "noNorm", impulse_channels=["right upper lobe", "vein", "bronchus"])
    assert sampled_channels(found, (0, 1, 2)) == (1, 2)


def test_one_class_of_vessels_is_sampled_and_an_organ_is_not():
    found = content("CT", "noNorm", "noNorm", impulse_channels=["CT", "vessel", "organ"])
    assert sampled_channels(found, (1, 2)) == (1,)


def test_an_unknown_kind_of_mask_is_refused():
    message = (
        r"dataset\.json, impulse_channels, channel 1: found 'vesel', expected a kind of mask \(bronchus, artery, vein, "
        r"vessel, right upper lobe, .*, organ\); correct the entry"
    )
    with pytest.raises(InputError, match=message):
        sampled_channels(content("CT", "noNorm", impulse_channels=["CT", "vesel"]), (1,))
    with pytest.raises(InputError, match="channel 0: found 'vein' for an image, expected noNorm in channel_names"):
        sampled_channels(content("CT", "noNorm", impulse_channels=["vein", "vein"]), (1,))


@pytest.mark.parametrize("entry", [["CT"], ["CT", 1], "CT, vein", {"0": "CT"}])
def test_an_entry_that_does_not_fit_the_channels(entry):
    message = r"dataset\.json, impulse_channels: found .*, expected a list of 2 names, one for each channel"
    with pytest.raises(InputError, match=message):
        channel_titles(content("CT", "noNorm", impulse_channels=entry))


@pytest.mark.parametrize("entry", ["trees", [1], ["/root/trees"], ["../other/trees"]])
def test_tree_folders_lie_in_the_data_set(entry):
    with pytest.raises(InputError, match=r"dataset\.json, impulse_trees: found .*, expected a list of folders in the"):
        tree_folders(content("CT", impulse_trees=entry))


def test_the_channels_under_their_name_of_today_and_the_old_one():
    assert channel_names({"channel_names": {"0": "CT", "1": "noNorm"}}) == ["CT", "noNorm"]
    assert channel_names({"modality": {"0": "CT"}}) == ["CT"]
    assert channel_names({}) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"found no valid JSON \(Expecting .*, expected nnU-Net's dataset\.json; check -djfile"),
        ("[]", "found a list, expected an object, nnU-Net's dataset.json"),
        ("{}", "found no entry 'labels', expected nnU-Net's dataset.json; add the entry"),
        (json.dumps({"labels": ["a"]}), r"found labels \['a'\], expected \"labels\": {\"background\": 0"),
        ("\xff", "found no valid JSON"),
    ],
)
def test_files_that_will_not_do(tmp_path, text, message):
    path = tmp_path / "dataset.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=message):
        read_dataset_json(path, remedy="check -djfile")


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"found no such file, expected nnU-Net's dataset.json; check -djfile"):
        read_dataset_json(tmp_path / "dataset.json", remedy="check -djfile")


def test_where_it_is_looked_for(tmp_path, monkeypatch):
    references, predictions = tmp_path / "data" / "labelsTs", tmp_path / "out"
    references.mkdir(parents=True)
    predictions.mkdir()
    assert find_dataset_json(references, predictions) is None
    for folder in (tmp_path / "data", references, predictions):  # each is preferred to the one before
        dataset_json(folder, {"a": 1})
        assert find_dataset_json(references, predictions) == folder / "dataset.json"
    (predictions / "dataset.json").unlink()
    (references / "dataset.json").unlink()
    monkeypatch.chdir(references)
    relative = type(references)(".")
    assert find_dataset_json(relative, predictions) == tmp_path / "data" / "dataset.json"


def test_channels_in_the_order_of_their_numbers_pass():
    check_channel_order(content("CT", *["noNorm"] * 11), Path("dataset.json"))
    check_channel_order({"modality": {"0": "CT"}}, Path("dataset.json"))


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"1": "noNorm", "0": "CT"}, "channels 1, 0"),
        ({"0": "CT", "2": "noNorm"}, "channels 0, 2"),
        ({"0000": "CT"}, "channels 0000"),
        (["CT"], r"channel_names \['CT'\]"),
        ("CT", "channel_names 'CT'"),
        ({"0": 1}, r"channel_names \{'0': 1\}"),
    ],
)
def test_channels_that_nnunet_would_take_for_others_are_refused(entry, found):
    with pytest.raises(
        InputError, match=rf"^dataset\.json: found {found}, expected .*numbered from 0 on in this order;"
    ):
        check_channel_order({"channel_names": entry}, Path("dataset.json"))

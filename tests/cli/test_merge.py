"""Shards of an evaluation, run in any order, twice, with holes, and their join."""

import json
import os
import shutil

import numpy as np
import pytest

from impulse_nnunet.cli.main import main
from tests.evaluation.brute_force import blobs, disturbed
from tests.evaluation.image_files import dataset_json, save, save_all

CASES = ("a", "b", "c", "d", "e")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Five cases in gt, pred and airway; label 2 is absent from case b, so that some numbers are undefined."""
    monkeypatch.chdir(tmp_path)
    maps = {name: {} for name in ("gt", "pred", "airway")}
    for seed, case in enumerate(CASES):
        reference = blobs(seed, (5, 7, 6), 3).astype(np.uint8)
        prediction = disturbed(reference, seed).astype(np.uint8)
        if case == "b":
            reference[reference == 2] = prediction[prediction == 2] = 0
        tree = np.random.default_rng(seed).uniform(size=reference.shape) < 0.3
        for name, labels in zip(maps, (reference, prediction, tree.astype(np.uint8)), strict=True):
            maps[name][case] = labels
    for name, labels in maps.items():
        save_all(tmp_path / name, labels, spacing=(2, 0.75, 0.5))
    dataset_json(tmp_path / "pred", {"one": 1, "two": 2})
    return tmp_path


def evaluate(*flags):
    return main(["evaluate", "gt", "pred", "-np", "1", "--disable_progress_bar", "--airway", "airway", *flags])


def outputs(folder):
    return {name: (folder / "pred" / name).read_bytes() for name in ("summary.json", "metrics.csv")}


def whole(folder, expect=0):
    """What one call writes; it is taken away again."""
    assert evaluate() == expect
    content = outputs(folder)
    for name in content:
        (folder / "pred" / name).unlink()
    return content


def failures():
    with open("pred/summary.json") as file:
        return json.load(file)["failures"]


@pytest.mark.parametrize("count", [1, 2, 3, 7])  # 7: two shards have no case
def test_shards_join_to_the_bytes_of_one_call(folders, count, capsys):
    expected = whole(folders)
    for index in reversed(range(count)):
        assert evaluate("--shard", f"{index}/{count}") == 0
    assert "summary.json" not in os.listdir("pred")
    assert main(["merge", "pred"]) == 0
    assert outputs(folders) == expected
    assert b"null" in expected["summary.json"]  # undefined numbers took the way through a part
    assert capsys.readouterr().err == ""
    assert main(["merge", "pred"]) == 0  # again
    assert outputs(folders) == expected


def test_tasks_of_a_job_array(folders, monkeypatch):
    expected = whole(folders)
    for variables in (("3", "2", "3", "8", "5"), ("8", "2", "3", "8", "5")):
        for name, value in zip(("ID", "COUNT", "MIN", "MAX", "STEP"), variables, strict=True):
            monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
        assert evaluate("--shard", "auto") == 0
    assert sorted(os.listdir("pred/summary_parts")) == ["shard_0_of_2.json", "shard_1_of_2.json"]
    assert main(["merge", "pred"]) == 0
    assert outputs(folders) == expected


def test_what_is_missing_is_said(folders, capsys):
    expected = whole(folders)
    assert evaluate("--shard", "1/4") == 0
    assert evaluate("--shard", "0/4") == 0
    capsys.readouterr()
    assert main(["merge", "pred"]) == 2
    printed = capsys.readouterr().err
    assert "impulse_nnunet: 2 of 4 shards not run: 2/4, 3/4\n" in printed
    assert "2 of 5 case(s) without a result of their files as they are now: c, d; run the same evaluate" in printed
    assert failures() == {
        case: f"{case}: found no result of its files as they are now, expected one from a shard; "
        "run evaluate --shard again"
        for case in ("c", "d")
    }
    assert evaluate("-num_parts", "4", "-part_id", "2") == 0  # nnU-Net's flags say the same
    assert evaluate("--shard", "1/2") == 0  # another number of shards; b twice
    assert main(["merge", "pred"]) == 0
    assert outputs(folders) == expected


def test_a_file_that_changed_is_not_joined_with_its_old_numbers(folders, capsys):
    for index in range(2):
        assert evaluate("--shard", f"{index}/2") == 0
    shutil.copy("gt/c.nii.gz", "pred/c.nii.gz")
    assert main(["merge", "pred"]) == 2
    assert "1 of 5 case(s) without a result of their files as they are now: c" in capsys.readouterr().err
    assert list(failures()) == ["c"]
    assert evaluate("--shard", "0/2") == 0
    assert main(["merge", "pred"]) == 0
    assert outputs(folders) == whole(folders)


def test_a_touched_file_keeps_its_numbers_and_one_edited_at_equal_size_does_not(folders, capsys):
    for index in range(2):
        assert evaluate("--shard", f"{index}/2") == 0
    os.utime("pred/c.nii.gz", (1, 1))
    assert main(["merge", "pred"]) == 0
    content = bytearray((folders / "pred/c.nii.gz").read_bytes())
    content[4] ^= 1  # the time in the header of gzip
    (folders / "pred/c.nii.gz").write_bytes(content)
    assert main(["merge", "pred"]) == 2
    assert list(failures()) == ["c"]


def test_parts_of_an_earlier_form_are_made_again(folders):
    expected = whole(folders)
    assert evaluate("--shard", "0/1") == 0
    path = folders / "pred" / "summary_parts" / "shard_0_of_1.json"
    part = json.loads(path.read_text())
    part["stamps"] = {
        case: {file: note[:2] for file, note in notes.items()} for case, notes in part.pop("notes").items()
    }
    path.write_text(json.dumps(part))
    assert main(["merge", "pred"]) == 2
    assert evaluate("--shard", "0/1") == 0
    assert main(["merge", "pred"]) == 0
    assert outputs(folders) == expected


def test_cases_that_fail(folders, capsys):
    """A broken prediction, one without a reference, one that is not there, a tree that is not there."""
    save(np.zeros((5, 7, 6), np.uint8), folders / "pred" / "b.nii.gz", spacing=(1, 1, 1))
    save(np.zeros((5, 7, 6), np.uint8), folders / "pred" / "aa.nii.gz", spacing=(2, 0.75, 0.5))
    (folders / "pred" / "d.nii.gz").unlink()
    (folders / "airway" / "a.nii.gz").unlink()
    expected = whole(folders, expect=2)
    assert evaluate("--shard", "0/2") == 2
    printed = capsys.readouterr().err
    assert "1 of 3 cases failed:\n  a: found no airway file" in printed
    assert evaluate("--shard", "1/2") == 2
    printed = capsys.readouterr().err
    assert "2 of 2 cases failed:\n  pred/b.nii.gz: found spacing" in printed
    assert "\n  d: found a reference without a prediction" in printed
    assert main(["merge", "pred"]) == 2
    assert outputs(folders) == expected
    printed = capsys.readouterr().err
    assert "4 case(s) failed:\n  a: found no airway file" in printed
    assert "\n  aa: found a prediction without a reference" in printed
    assert list(failures()) == ["a", "aa", "b", "d"]


def test_a_late_prediction_moves_no_other_case(folders):
    shutil.move("pred/b.nii.gz", "late.nii.gz")
    assert evaluate("--shard", "0/2") == 0  # a, c, e
    shutil.move("late.nii.gz", "pred/b.nii.gz")
    assert evaluate("--shard", "1/2") == 0  # b, d
    assert main(["merge", "pred"]) == 0


def test_a_shard_that_runs_again_keeps_what_it_found(folders, monkeypatch):
    expected = whole(folders)
    assert evaluate("--shard", "0/1") == 0
    part = json.loads((folders / "pred" / "summary_parts" / "shard_0_of_1.json").read_text())
    for case in ("b", "d"):  # as if the shard had been killed before them
        part["metric_per_case"] = [entry for entry in part["metric_per_case"] if entry["case"] != case]
    (folders / "pred" / "summary_parts" / "shard_0_of_1.json").write_text(json.dumps(part))
    read = []
    from impulse_nnunet.evaluation import folder

    original = folder.evaluate_files
    monkeypatch.setattr(
        folder, "evaluate_files", lambda files, **rest: read.append(files.case) or original(files, **rest)
    )
    assert evaluate("--shard", "0/1") == 0
    assert read == ["b", "d"]
    assert main(["merge", "pred"]) == 0
    assert outputs(folders) == expected
    read.clear()
    assert evaluate("--shard", "0/1", "--hd95") == 0  # another question: nothing is kept
    assert read == list(CASES)


def test_a_part_grows_while_the_shard_runs(folders, monkeypatch):
    from impulse_nnunet.evaluation import shard

    monkeypatch.setattr(shard, "SECONDS_BETWEEN_WRITES", -1.0)
    seen = []
    original = shard.write_part
    monkeypatch.setattr(shard, "write_part", lambda part, path: seen.append(len(part.entries)) or original(part, path))
    assert evaluate("--shard", "0/2") == 0
    assert seen == [1, 2, 3, 3]


def test_parts_of_two_evaluations_are_refused(folders, capsys):
    assert evaluate("--shard", "0/2") == 0
    assert evaluate("--shard", "1/2", "--tolerance_mm", "2") == 0
    assert main(["merge", "pred"]) == 2
    printed = capsys.readouterr().err
    assert "shard_1_of_2.json: found tolerances_mm [2.0], expected [1, 2, 3] as shard_0_of_2.json has" in printed
    assert "summary.json" not in os.listdir("pred")


def test_another_output(folders):
    expected = whole(folders)
    for index in range(2):
        assert evaluate("--shard", f"{index}/2", "-o", "scores/mine.json") == 0
    assert os.listdir("scores") == ["mine_parts"]
    assert main(["merge", "scores", "-o", "scores/mine.json"]) == 0
    assert (folders / "scores" / "mine.json").read_bytes() == expected["summary.json"]


@pytest.mark.parametrize("content", ["", "[]", '{"shard": [0, 1]}', "\xff"])
def test_what_is_no_part(folders, capsys, content):
    (folders / "pred" / "summary_parts").mkdir()
    path = folders / "pred" / "summary_parts" / "shard_0_of_1.json"
    path.write_bytes(content.encode("latin-1"))
    assert main(["merge", "pred"]) == 2
    assert "shard_0_of_1.json: found no part of an evaluation (" in capsys.readouterr().err
    assert evaluate("--shard", "0/1") == 0  # a shard writes its own in its place
    assert main(["merge", "pred"]) == 0


def test_nothing_to_merge(folders, capsys):
    assert main(["merge", "nowhere"]) == 2
    assert "nowhere: found no such folder, expected the folder of the predictions" in capsys.readouterr().err
    assert main(["merge", "pred"]) == 2
    assert "pred/summary_parts: found no part of an evaluation, expected one for each shard" in capsys.readouterr().err


def test_images_without_labels(folders, capsys):
    for case in (*CASES, "f", "g"):
        for channel in range(2):
            save(np.zeros((2, 2, 2)), folders / "images" / f"{case}_000{channel}.nii.gz")
    assert main(["merge", "pred", "-i", "images"]) == 2
    assert "2 of 7 image(s) without labels: f, g; run the same predict command again" in capsys.readouterr().err
    for case in "fg":
        shutil.copy("pred/a.nii.gz", f"pred/{case}.nii.gz")
    assert main(["merge", "pred", "-i", "images"]) == 0
    assert capsys.readouterr().out == "7 image(s), each with labels in pred\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--shard", "2/2"], "--shard: found 2, expected 0 to 1 of 2; count shards from 0"),
        (
            ["--shard", "0/2", "-part_id", "0"],
            "--shard: found -num_parts or -part_id too, expected one of the two ways",
        ),
        (["-num_parts", "2", "-part_id", "5"], "-part_id: found 5, expected 0 to 1 of 2"),
    ],
)
def test_bad_shards_are_one_line(folders, capsys, flags, message):
    assert evaluate(*flags) == 2
    assert capsys.readouterr().err.startswith(f"impulse_nnunet: {message}")

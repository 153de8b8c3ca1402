import json

import pytest

from impulse_nnunet.jobs.prediction_file import PREDICTION_FILE, PredictionFile, findings_of
from impulse_nnunet.runtime.findings import Finding

MIRRORED = Finding("mirrored", "looks mirrored")
RUN = {"command": "predict", "model": {"folds": [0]}}


def done(file, case, *findings):
    file.done(case, findings, 1.234)
    (file.output / f"{case}.nii.gz").touch()


def content(folder):
    return json.loads((folder / PREDICTION_FILE).read_text())


def states(folder):
    return {case: entry["state"] for case, entry in content(folder)["cases"].items()}


def test_one_run(tmp_path):
    file = PredictionFile(tmp_path, ".nii.gz", RUN)
    file.begin("abc")
    done(file, "a")
    done(file, "b", MIRRORED)
    file.failed("c", "c: found 1 channel")
    file.join()
    assert states(tmp_path) == {"a": "ok", "b": "warned", "c": "failed"}
    found = content(tmp_path)
    (number,) = found["runs"]
    assert found["runs"][number] == RUN
    b = found["cases"]["b"]
    assert b["findings"] == [{"kind": "mirrored", "text": "looks mirrored"}]
    assert (b["seconds"], b["file"], b["run"]) == (1.23, "b.nii.gz", number)
    assert found["cases"]["c"]["reason"] == "c: found 1 channel"
    assert found["left_out"] == {}


def test_shards_and_calls_with_other_settings_end_in_one_file(tmp_path):
    first = PredictionFile(tmp_path, ".nii.gz", RUN)
    second = PredictionFile(tmp_path, ".nii.gz", RUN | {"model": {"folds": [1]}})
    first.begin(["a"])
    second.begin(["b"])
    done(second, "b", MIRRORED)
    second.join()
    done(first, "a")
    first.join()
    assert states(tmp_path) == {"a": "ok", "b": "warned"}
    cases, runs = content(tmp_path)["cases"], content(tmp_path)["runs"]
    assert runs[cases["a"]["run"]]["model"] == {"folds": [0]}
    assert runs[cases["b"]["run"]]["model"] == {"folds": [1]}


def test_a_case_that_is_kept_keeps_its_entry(tmp_path):
    done(PredictionFile(tmp_path, ".nii.gz", RUN), "a", MIRRORED)
    later = PredictionFile(tmp_path, ".nii.gz", RUN | {"command": "later"})
    later.kept("a")
    later.begin("b")
    assert states(tmp_path) == {"a": "warned"}
    assert content(tmp_path)["cases"]["a"]["findings"][0]["kind"] == "mirrored"


def test_labels_of_a_version_without_entries_are_not_called_sound(tmp_path):
    (tmp_path / "a.nii.gz").touch()
    file = PredictionFile(tmp_path, ".nii.gz", RUN)
    file.kept("a")
    file.join()
    assert states(tmp_path) == {"a": "warned"}
    assert content(tmp_path)["cases"]["a"]["findings"][0]["kind"] == "no_record"


@pytest.mark.parametrize("damage", ["", "{", "[1]"])
def test_an_interrupted_call_leaves_no_entry_without_labels_and_no_labels_without_entry(tmp_path, damage):
    file = PredictionFile(tmp_path, ".nii.gz", RUN)
    file.done("a", [MIRRORED], 1.0)  # and the machine stops before the labels are there
    done(file, "b", MIRRORED)
    (file.folder / "x.json").write_text(damage)  # nothing of ours
    file.join()
    assert states(tmp_path) == {"b": "warned"}


def test_a_case_that_is_predicted_again_has_no_entry_until_it_is_done(tmp_path):
    file = PredictionFile(tmp_path, ".nii.gz", RUN)
    done(file, "a", MIRRORED)
    file.begin("a")
    assert states(tmp_path) == {}
    done(file, "a")
    file.join()
    assert states(tmp_path) == {"a": "ok"}


def test_failures_of_cases_that_are_gone_are_forgotten(tmp_path):
    file = PredictionFile(tmp_path, ".nii.gz", RUN)
    done(file, "a")
    file.failed("b", "b: one channel of two")
    file.failed("c", "c: one channel of two")
    file.forget_failures({"b"})
    file.join()
    assert states(tmp_path) == {"a": "ok", "b": "failed"}


def test_what_is_left_out_is_that_of_the_last_call(tmp_path):
    file = PredictionFile(tmp_path, ".nii.gz", RUN)
    file.leave_out(tmp_path / "in", {"x.nrrd": "expected .nii.gz"})
    file.join()
    assert content(tmp_path)["left_out"] == {str(tmp_path / "in" / "x.nrrd"): "expected .nii.gz"}
    file.leave_out(tmp_path / "in", {})
    file.join()
    assert content(tmp_path)["left_out"] == {}


def test_findings_are_read_back_by_case(tmp_path):
    file = PredictionFile(tmp_path, ".nii.gz", RUN)
    for case, found in (("a", [MIRRORED]), ("b", [])):
        file.done(case, found, 1.0)
        (tmp_path / f"{case}.nii.gz").touch()
    file.join()
    assert findings_of(tmp_path) == {"a": [MIRRORED], "b": []}
    assert findings_of(tmp_path / "nowhere") == {}


def test_a_case_that_is_predicted_again_loses_what_other_options_made_of_it(tmp_path):
    files = {case: [tmp_path / f"{case}.nii.gz", tmp_path / f"{case}.npz"] for case in ("a", "b")}
    for path in (*files["a"], *files["b"]):
        path.write_text("of another image")
    file = PredictionFile(tmp_path, ".nii.gz", RUN, files.__getitem__)
    file.begin(["a", "b"])
    assert sorted(path.name for path in tmp_path.glob("*.n*")) == ["a.nii.gz", "a.npz", "b.nii.gz", "b.npz"]
    file.done("a", [])  # a call that is killed before b leaves b's files
    assert sorted(path.name for path in tmp_path.glob("*.n*")) == ["b.nii.gz", "b.npz"]


def test_a_case_that_fails_keeps_no_files_of_an_earlier_call(tmp_path):
    extra = tmp_path / "displacement" / "a.nii.gz"
    extra.parent.mkdir()
    labels = {case: tmp_path / f"{case}.nii.gz" for case in ("a", "b")}
    for path in (*labels.values(), extra):
        path.write_text("of an image that is gone")
    PredictionFile(tmp_path, ".nii.gz", RUN, lambda case: [labels[case], extra]).failed("a", "a: no image")
    assert not labels["a"].exists()
    assert not extra.exists()
    assert labels["b"].exists()
    PredictionFile(tmp_path, ".nii.gz", RUN).failed("b", "b: no image")
    assert not labels["b"].exists()

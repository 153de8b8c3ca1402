"""Reports without ground truth."""

import json
import re

import numpy as np
import pytest

from impulse_nnunet.cli.main import main
from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.report.predicted import choose_predicted, read_predicted, volumes_ml
from impulse_nnunet.evaluation.report.predicted_page import volume_table
from impulse_nnunet.jobs.prediction_file import PredictionFile
from impulse_nnunet.outputs.colours import label_style
from impulse_nnunet.runtime.findings import Finding
from tests.evaluation.report.folders import NAMES, predicted_labels, write_volume

LABELS = {"background": 0} | {name: int(label) for label, name in NAMES.items()} | {"azygos lobe": 5}


@pytest.fixture
def folder(tmp_path):
    """Cases a (ok), b (warned), c (failed) and d, whose labels have no entry."""
    file = PredictionFile(tmp_path, ".nii.gz", {"command": "predict", "model": {"folds": [0, 1]}})
    file.done("a", [], 12.34)
    file.done("b", [Finding("mirrored", "the image looks <mirrored>")], 5)
    file.failed("c", "c: found 1 channel")
    for case in "abd":
        write_volume(predicted_labels(), tmp_path / f"{case}.nii.gz")
    file.leave_out(tmp_path / "in", {"x.nrrd": "the ending .nrrd"})
    file.join()
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": LABELS, "file_ending": ".nii.gz"}))
    return tmp_path


def test_volumes_are_voxels_times_their_volume():
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[0, :2, :5], labels[3, 0, 0] = 1, 7
    # 10 and 1 voxels of 2 * 3 * 4 = 24 mm^3
    assert volumes_ml(labels, (2, 3, 4)) == {1: pytest.approx(0.24), 7: pytest.approx(0.024)}


def test_what_is_known_of_a_folder(folder):
    found = read_predicted(folder)
    assert {name: case.state for name, case in found.cases.items()} == {
        "a": "ok",
        "b": "warned",
        "c": "failed",
        "d": "unknown",
    }
    assert found.cases["c"].file is None
    assert found.cases["b"].notes == ["the image looks <mirrored>"]
    assert found.cases["d"].notes == ["no entry in prediction.json: nothing is known of how these labels were made"]
    # label 3 fills 8 * 16 * 10 voxels of 3 * 1.5 * 2 = 9 mm^3
    assert found.cases["a"].volumes_ml[3] == pytest.approx(8 * 16 * 10 * 9 / 1000)
    assert list(found.left_out.values()) == ["the ending .nrrd"]
    table = volume_table(found, label_style(found.scheme.names, {}))
    assert [row[0].text for row in table.rows] == ["median, range", "a", "b", "d"]
    assert [cell.text for cell in table.rows[1]] == ["a", "14.4", "8.6", "11.5", "11.5", "none"]


def test_cases_with_findings_are_shown_first(folder):
    found = read_predicted(folder)
    assert choose_predicted(found, ["2"]) == {"b": "warned", "d": "unknown"}
    assert choose_predicted(found, ["3"]) == {"b": "warned", "d": "unknown", "a": "ok"}
    assert choose_predicted(found, ["a"]) == {"a": "chosen"}
    with pytest.raises(InputError, match=r"`cases`: found 'c', expected cases with labels, or a number"):
        choose_predicted(found, ["c"])


def test_labels_that_lie_there_are_not_those_of_a_failed_case(folder):
    write_volume(predicted_labels(), folder / "c.nii.gz")
    found = read_predicted(folder).cases["c"]
    assert (found.state, found.file, found.volumes_ml) == ("failed", None, {})


def test_a_label_map_that_cannot_be_read(folder):
    (folder / "a.nii.gz").write_bytes(b"no image")
    found = read_predicted(folder).cases["a"]
    assert (found.state, found.file) == ("failed", None)
    assert "a.nii.gz" in found.notes[0]


def test_the_page(folder, capsys):
    assert main(["report", str(folder), "--no_3d", "--cases", "2"]) == 0
    output = folder / "report.html"
    assert capsys.readouterr().out.startswith(f"{output} (")
    page = output.read_text(encoding="utf-8")
    assert "4 cases: 1 ok, 1 warned, 1 failed, 1 unknown" in page
    assert "nothing on this page says how right the labels are" in page
    assert "the image looks &lt;mirrored&gt;" in page
    assert "<li><b>c</b>: found 1 channel</li>" in page
    assert "x.nrrd</b>: the ending .nrrd" in page
    assert page.count("data:image/png") == 6  # three planes of two cases
    assert "wrong voxels" not in page
    assert re.search(r"axial, z = [\d.-]+ mm<", page)
    assert "model.folds" in page


def test_a_folder_of_label_maps_alone(tmp_path):
    write_volume(predicted_labels(), tmp_path / "out" / "a.nii.gz")
    assert main(["report", str(tmp_path / "out"), "-o", str(tmp_path / "r.html"), "--no_3d"]) == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "1 case: 1 unknown" in page
    assert "Nothing is known of it." in page


def test_without_a_place_for_the_report(tmp_path, capsys):
    assert main(["report", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "-o: found nothing, expected a file" in capsys.readouterr().err


def test_damaged_records_are_named(folder):
    (folder / "prediction.json").write_text('{"cases": []}')
    with pytest.raises(InputError, match=r"prediction.json: found another form, expected a prediction.json of ours"):
        read_predicted(folder)

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from nnunetv2.evaluation.evaluate_predictions import load_summary_json

from impulse_nnunet import __version__
from impulse_nnunet.evaluation.case import evaluate_case
from impulse_nnunet.evaluation.folder import CaseFiles, FolderMetrics
from impulse_nnunet.evaluation.settings import MetricSettings
from impulse_nnunet.evaluation.summary import summarise, write_summary
from impulse_nnunet.io.label_scheme import LabelScheme

SCHEME = LabelScheme({3: "three", 5: "five", 8: "eight"}, 9, {"upper": (3, 5), "lower": (8,)})
LOBES = {"upper": [1, 2], "lower": [3]}
SETTINGS = MetricSettings(tolerances_mm=(1.0, 0.5))


def row(*labels):
    return np.array(labels, np.uint8).reshape(1, 1, -1)


def folder_metrics(settings=SETTINGS, trees=True):
    """Two cases of a row of voxels; of the second the tree has no intrusion and label 8 is in neither map."""
    tree = {"airway": row(1, 1, 1, 1, 1, 0, 0, 1), "interseg": row(0, 1, 0, 0, 0, 0, 0, 0)} if trees else {}
    maps = {
        "a": (row(1, 1, 1, 2, 2, 2, 3, 0), row(1, 0, 2, 2, 2, 0, 3, 3)),
        "b": (row(1, 1, 2, 2, 2, 2, 0, 0), row(1, 1, 2, 2, 2, 0, 0, 0)),
    }
    cases = {case: evaluate_case(*pair, 4, (1, 1, 2), settings, tree, LOBES) for case, pair in maps.items()}
    files = {
        case: CaseFiles(
            case=case,
            reference=Path(f"/gt/{case}.nii"),
            prediction=Path(f"/pred/{case}.nii"),
            trees={t: Path(f"/{t}/{case}") for t in tree},
        )
        for case in cases
    }
    return FolderMetrics(cases, files, {"c": "c: found nothing"})


@pytest.fixture
def summary():
    folders = {"airway": "/airway", "interseg": "/interseg"}
    return summarise(folder_metrics(), SCHEME, SETTINGS, [3, 5, 8], folders)


def test_a_case_by_hand(summary):
    entry = summary["metric_per_case"][0]
    assert (entry["case"], entry["reference_file"], entry["prediction_file"]) == ("a", "/gt/a.nii", "/pred/a.nii")
    # label 3: 3 voxels and 1, of which 1 in both; label 5: 3 and 3, 2 in both; label 8: 1 and 2, 1 in both
    metrics = entry["metrics"]
    dice = {"3": 2 / 4, "5": 4 / 6, "8": 2 / 3}
    assert {label: metrics[label]["Dice"] for label in metrics} == pytest.approx(dice)
    assert metrics["5"] == pytest.approx(
        {"Dice": 4 / 6, "IoU": 2 / 4, "TP": 2, "FP": 1, "FN": 1, "TN": 4, "n_pred": 3, "n_ref": 3}
        # all voxels of a row are surface, 2 mm apart: within 0.5 or 1 mm is only what agrees
        | {"NSD_1mm": 4 / 6, "NSD_0.5mm": 4 / 6}
    )
    assert all(isinstance(metrics["5"][name], int) for name in ("TP", "FP", "FN", "TN", "n_pred", "n_ref"))
    # upper: 6 and 4 voxels, 4 in both; lower is label 8
    assert entry["lobes"]["upper"]["Dice"] == pytest.approx(8 / 10)
    assert entry["lobes"]["lower"]["Dice"] == pytest.approx(2 / 3)


def test_the_tree_of_a_case_by_hand(summary):
    airway = summary["metric_per_case"][0]["anatomy"]["airway"]
    # T_3 = x 0, 1, 2: 1 and 2 outside, one group, 4 mm off x = 0; T_5 = 3, 4: at home; x = 7 is outside
    expected = {
        "file": "/airway/a",
        "NI": 1,
        "ID_mm": 4,
        "total_ID_mm": 4,
        "n_undefined_ID": 0,
        "n_voxels": 5,
        "n_outside": 1,
        "n_background": 1,
        "share_in_segment": 3 / 5,
        # 3: 3 and 1, 1 in both; 5: 2 and 3, 2 in both; 8: none and 1
        "Dice_inside": (2 / 4 + 4 / 5 + 0) / 3,
    }
    assert {name: value for name, value in airway.items() if name != "per_label"} == pytest.approx(expected)
    three = {"NI": 1, "ID_mm": 4, "n_voxels": 3, "n_background": 1, "share_in_segment": 1 / 3}
    assert airway["per_label"]["3"] == pytest.approx(three)
    five = {"NI": 0, "ID_mm": math.nan, "n_voxels": 2, "n_background": 0, "share_in_segment": 1}
    assert airway["per_label"]["5"] == pytest.approx(five, nan_ok=True)
    eight = {"NI": 0, "ID_mm": math.nan, "n_voxels": 0, "n_background": 0, "share_in_segment": math.nan}
    assert airway["per_label"]["8"] == pytest.approx(eight, nan_ok=True)
    # interseg is x = 1, which was predicted as background
    interseg = summary["metric_per_case"][0]["anatomy"]["interseg"]
    assert interseg == {"file": "/interseg/a", "n_voxels": 1, "n_outside": 0, "Dice_inside": 0}


def test_averages_of_the_paper_and_of_nnunet(summary):
    first, second = (entry["paper"] for entry in summary["metric_per_case"])
    # b: 3 agrees, 5 is 4 and 3 voxels, 3 in both, 8 is in neither and left out
    dice = [(1 / 2 + 2 / 3 + 2 / 3) / 3, (1 + 6 / 7) / 2]
    assert [first["Dice"], second["Dice"]] == pytest.approx(dice)
    assert summary["paper"]["Dice"] == pytest.approx(sum(dice) / 2)
    # nnU-Net: each label over the cases that have it, then over labels
    by_label = [(1 / 2 + 1) / 2, (2 / 3 + 6 / 7) / 2, 2 / 3]
    assert [summary["mean"][label]["Dice"] for label in ("3", "5", "8")] == pytest.approx(by_label)
    assert summary["foreground_mean"]["Dice"] == pytest.approx(sum(by_label) / 3)
    assert summary["foreground_mean"]["FP"] == pytest.approx((0 + (1 + 0) / 2 + (1 + 0) / 2) / 3)
    # b has no intrusion, so ID is a's alone; NI and the total are of both
    assert (second["NIB"], second["total_IDB_mm"]) == (0, 0)
    assert math.isnan(second["IDB_mm"])
    assert {name: summary["paper"][name] for name in ("NIB", "IDB_mm", "total_IDB_mm")} == {
        "NIB": 0.5,
        "IDB_mm": 4,
        "total_IDB_mm": 2,
    }
    assert summary["paper"]["share_airway"] == pytest.approx((3 / 5 + 1) / 2)
    # lobes of b: upper is 6 and 5 voxels, 5 in both; lower is in neither
    assert second["Dice_lobes"] == pytest.approx(10 / 11)
    # interseg of b: x = 1 is at home in 3, the others are in neither
    assert (first["Dice_interseg"], second["Dice_interseg"]) == (0, 1)
    assert {name for name, number in summary["n_nan"].items() if number} == {"IDB_mm"}
    assert summary["n_nan"]["IDB_mm"] == 1
    assert list(summary["paper"]) == list(first) == list(second) == list(summary["n_nan"])


def test_vessels_have_their_letters():
    maps = row(1, 0, 2, 0), row(1, 2, 2, 0)
    trees = {name: row(1, 0, 1, 0) for name in ("artery", "vein")}
    case = evaluate_case(*maps, 3, (1, 1, 1), SETTINGS, trees)
    files = {
        "a": CaseFiles(case="a", reference=Path("r"), prediction=Path("p"), trees={name: Path(name) for name in trees})
    }
    settings = MetricSettings(tolerances_mm=(1.0,), hd95=True, assd=True)
    far = evaluate_case(*maps, 3, (1, 1, 1), settings, trees)
    found = summarise(FolderMetrics({"a": far}, files, {}), LabelScheme({1: "a", 2: "b"}), settings, [1, 2], {})
    assert list(found["paper"]) == [
        "Dice",
        "NSD_1mm",
        "HD95_mm",
        "ASSD_mm",
        "NIA",
        "IDA_mm",
        "total_IDA_mm",
        "share_artery",
        "Dice_artery",
        "NIV",
        "IDV_mm",
        "total_IDV_mm",
        "share_vein",
        "Dice_vein",
    ]
    assert "HD95_mm" not in case.per_label
    # label 2: x = 1 and 2 against 2: 0 mm for the reference's place, 0 and 1 for the prediction's
    assert found["metric_per_case"][0]["metrics"]["2"]["ASSD_mm"] == pytest.approx(1 / 3)
    assert found["paper"]["HD95_mm"] == pytest.approx((0 + 0.95) / 2)


def test_some_labels_only():
    found = summarise(folder_metrics(), SCHEME, SETTINGS, [5], {})
    entry = found["metric_per_case"][0]
    assert list(entry["metrics"]) == list(found["mean"]) == ["5"]
    assert entry["paper"]["Dice"] == pytest.approx(2 / 3)
    assert found["foreground_mean"]["Dice"] == pytest.approx((2 / 3 + 6 / 7) / 2)
    airway = entry["anatomy"]["airway"]
    assert (airway["NI"], airway["n_voxels"], airway["n_background"], airway["share_in_segment"]) == (0, 2, 0, 1)
    assert list(airway["per_label"]) == ["5"]
    # the one intrusion is label 3's
    assert (entry["paper"]["NIB"], entry["paper"]["total_IDB_mm"], entry["paper"]["share_airway"]) == (0, 0, 1)
    assert math.isnan(entry["paper"]["IDB_mm"])
    assert entry["paper"]["Dice_airway"] == pytest.approx(4 / 5)
    assert found["settings"]["labels"] == [5]
    assert list(found["settings"]["label_names"]) == ["3", "5", "8"]


def test_a_label_that_no_case_has_makes_nnunets_mean_undefined_and_not_the_papers():
    metrics = folder_metrics(trees=False)
    del metrics.cases["a"]
    found = summarise(metrics, SCHEME, SETTINGS, [3, 5, 8], {})
    assert math.isnan(found["foreground_mean"]["Dice"])
    assert found["paper"]["Dice"] == pytest.approx((1 + 6 / 7) / 2)


def test_settings_are_written_beside_the_numbers(summary):
    expected = {
        "version": __version__,
        "labels": [3, 5, 8],
        "label_names": {"3": "three", "5": "five", "8": "eight"},
        "ignore_label": 9,
        "lobes": {"upper": [3, 5], "lower": [8]},
        "trees": {"airway": "/airway", "interseg": "/interseg"},
        "tolerances_mm": (1.0, 0.5),
        "surface": "voxel",
        "connectivity": 26,
        "min_size": 1,
        "intrusion_surface": "whole",
        "absent": "skip",
        "hd95": False,
        "assd": False,
        "tree_labels": False,
    }
    assert summary["settings"] == expected
    assert summary["failures"] == {"c": "c: found nothing"}


def test_no_case_is_an_error():
    with pytest.raises(ValueError, match="found no case that was evaluated; expected at least one"):
        summarise(FolderMetrics({}, {}, {}), SCHEME, SETTINGS, [3], {})


# --- files -----------------------------------------------------------------------------------------------------------


def not_a_number(name):
    raise AssertionError(f"{name} in a JSON file")


def test_json_has_null_and_no_nan(summary, tmp_path):
    write_summary(summary, tmp_path / "summary.json")
    content = json.loads((tmp_path / "summary.json").read_text(), parse_constant=not_a_number)
    assert content["metric_per_case"][1]["metrics"]["8"]["Dice"] is None
    assert content["metric_per_case"][1]["anatomy"]["airway"]["ID_mm"] is None
    assert content["metric_per_case"][1]["paper"]["IDB_mm"] is None
    assert content["settings"]["tolerances_mm"] == [1.0, 0.5]
    assert content["paper"]["Dice"] == summary["paper"]["Dice"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.csv", "summary.json"]


def test_nnunet_reads_it(summary, tmp_path):
    write_summary(summary, tmp_path / "summary.json")
    content = load_summary_json(str(tmp_path / "summary.json"))
    assert list(content["mean"]) == [3, 5, 8]
    assert content["metric_per_case"][0]["metrics"][5]["TP"] == 2
    assert content["foreground_mean"]["Dice"] == summary["foreground_mean"]["Dice"]


def test_the_table_has_every_number_once(summary, tmp_path):
    write_summary(summary, tmp_path / "summary.json")
    with (tmp_path / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["case", "label", "metric", "value"]
    values = {(line["case"], line["label"], line["metric"]): float(line["value"]) for line in rows}
    assert len(values) == len(rows)
    assert values["a", "5", "Dice"] == 2 / 3
    assert values["a", "3", "airway_ID_mm"] == 4
    assert values["a", "upper", "Dice"] == pytest.approx(0.8)
    assert values["a", "all", "NIB"] == 1
    assert math.isnan(values["b", "8", "NSD_1mm"])
    # 2 cases x (3 labels x (10 of nnU-Net's kind + 5 of the airways) + 2 lobes + 10 of the paper)
    assert len(rows) == 2 * (3 * (10 + 5) + 2 + 10)


def test_nothing_half_written_stays(summary, tmp_path):
    (tmp_path / "summary.json").write_text("old")
    summary["settings"]["trees"]["vein"] = object()  # nothing that JSON knows
    with pytest.raises(TypeError):
        write_summary(summary, tmp_path / "summary.json")
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
    assert (tmp_path / "summary.json").read_text() == "old"

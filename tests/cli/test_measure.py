import csv
import json

import numpy as np
import pytest

from impulse_nnunet.cli.main import main
from tests.outputs.shapes import grid_of, save, two_boxes

LABELS = {"background": 0, "right S1": 1, "right S2": 4, "left S6": 5}
SPACING_MM = (0.7, 0.8, 2.5)


@pytest.fixture
def folder(tmp_path):
    labels = two_boxes()
    for case in ("a", "b"):
        save(tmp_path / "segments" / f"{case}.nii.gz", labels, grid_of(labels.shape, SPACING_MM))
        values = np.where(labels == 1, -960, -700).astype(np.int16)
        save(tmp_path / "images" / f"{case}_0000.nrrd", values, grid_of(labels.shape, SPACING_MM))
        save(tmp_path / "trees" / "vein" / f"{case}.nii.gz", labels // 4, grid_of(labels.shape, SPACING_MM))
    (tmp_path / "segments" / "dataset.json").write_text(json.dumps({"labels": LABELS}))
    return tmp_path


def measure(folder, *arguments):
    output = folder / "new" / "table.csv"
    code = main(["measure", str(folder / "segments"), "-o", str(output), "--disable_progress_bar", *arguments])
    if not output.exists():
        return code, []
    with output.open(newline="") as file:
        return code, list(csv.DictReader(file))


def test_the_table(capsys, folder):
    code, rows = measure(folder, "--ct", str(folder / "images"), "--trees", str(folder / "trees"), "-np", "2")
    assert code == 0
    assert capsys.readouterr().out == f"2 case(s), 10 row(s) in {folder / 'new' / 'table.csv'}\n"
    assert list(rows[0])[:7] == ["case", "label", "name", "voxels", "volume_ml", "surface_mm2", "mean_hu"]
    assert [(row["case"], row["label"], row["name"], row["voxels"]) for row in rows[:5]] == [
        ("a", "1", "right S1", "50"),
        ("a", "4", "right S2", "75"),
        ("a", "5", "left S6", "0"),
        ("a", "1+4", "right upper lobe", "125"),
        ("a", "1+4", "right lung", "125"),
    ]
    first = rows[0]
    # 50 voxels of 1.4 mm3
    assert (first["volume_ml"], first["mean_hu"], first["emphysema_share"]) == ("0.0700", "-960.00", "1.00000")
    assert (first["kind"], first["lobe"], first["share_of_lobe"]) == ("label", "right upper lobe", "0.40000")
    # 5 x 5 x 2 voxels
    assert (first["extent_x_mm"], first["extent_y_mm"], first["extent_z_mm"]) == ("3.50", "4.00", "5.00")
    assert (rows[1]["vein_ml"], rows[0]["vein_ml"]) == ("0.1050", "0.0000")
    assert rows[2]["mean_hu"] == ""


def test_without_a_ct_there_is_no_hu(folder):
    _, rows = measure(folder, "-np", "1")
    assert {row["mean_hu"] for row in rows} == {""}
    assert "vein_ml" not in rows[0]


def test_a_case_without_its_ct_or_on_another_grid_fails_alone(capsys, folder):
    (folder / "images" / "b_0000.nrrd").unlink()
    code, rows = measure(folder, "--ct", str(folder / "images"), "-np", "1")
    assert code == 2
    assert {row["case"] for row in rows} == {"a"}
    first, reason = capsys.readouterr().err.strip().splitlines()
    assert first == "impulse_nnunet: 1 of 2 cases failed:"
    assert reason.strip().startswith(f"b: found no CT in {folder / 'images'}, expected b_0000.nii.gz")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ct", "gone"], "gone: found no such file or folder, expected a CT, or a folder of them; check --ct"),
        (["-o", "table.xlsx"], "-o: found table.xlsx, expected a file that ends in .csv"),
    ],
)
def test_bad_flags_are_one_line(capsys, folder, arguments, message):
    assert measure(folder, *arguments)[0] == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"impulse_nnunet: {message}")


def test_one_ct_for_several_cases_is_refused(capsys, folder):
    assert measure(folder, "--ct", str(folder / "images" / "a_0000.nrrd"))[0] == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("impulse_nnunet: --ct: found ")
    assert "expected a folder of CTs, for 2 cases; give the folder" in line

"""``branches`` and ``plan`` on small made-up cases, as a user calls them."""

import csv
import json

import nibabel
import numpy as np
import pytest

from impulse_nnunet.cli.main import main
from tests.support import write_nifti

SHAPE = (24, 24, 60)


def slabs():
    """Three segments of 20 voxels each along x; a bronchus from the first into the third; a lesion in the second."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:22, 2:22, :] = np.repeat(np.arange(1, 4), 20)
    airway = np.zeros(SHAPE, np.uint8)
    airway[10:13, 10:13, 4:56] = 1
    lesion = np.zeros(SHAPE, np.uint8)
    lesion[16:19, 16:19, 28:31] = 1
    return labels, airway, lesion


@pytest.fixture
def files(tmp_path):
    for name, array in zip(("segments", "airway", "lesion"), slabs(), strict=True):
        write_nifti(tmp_path / f"{name}.nii.gz", array)
    names = {"background": 0, "liver I": 1, "liver II": 2, "liver III": 3}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": names}))
    return tmp_path


def test_branches_of_one_case(files, capsys):
    call = [
        "branches",
        str(files / "segments.nii.gz"),
        "--airway",
        str(files / "airway.nii.gz"),
        "-o",
        str(files / "b"),
    ]
    assert main(call) == 0
    record = json.loads((files / "b" / "branches.json").read_text())
    assert record["note"] == "research use, not a medical device"
    keys = {"id", "parent", "generation", "label", "length_mm", "mean_diameter_mm", "points_mm"}
    assert keys <= set(record["airway"][0])
    assert record["airway"][0]["parent"] is None
    total = sum(branch["length_mm"] for branch in record["airway"])
    assert total == pytest.approx(51, abs=2)
    # the file is SimpleITK's: LPS as the indices; the rod is 3 voxels wide, its middle at 11
    points = np.concatenate([branch["points_mm"] for branch in record["airway"]])
    assert np.abs(points[:, 1:] - 11).max() <= 1.5
    rows = list(csv.DictReader((files / "b" / "branches.csv").read_text().splitlines()))
    assert len(rows) == len(record["airway"])
    assert rows[0]["note"] == "research use, not a medical device"
    import pyvista as pv

    mesh = pv.read(files / "b" / "branches.vtp")
    assert mesh.n_cells == len(rows)
    assert {"tree", "branch", "label", "generation"} <= set(mesh.cell_data.keys())
    assert "1 of airway" in capsys.readouterr().out


def test_plan_of_one_case(files):
    call = ["plan", str(files / "segments.nii.gz"), "--lesion", str(files / "lesion.nii.gz")]
    assert main([*call, "--airway", str(files / "airway.nii.gz"), "-o", str(files / "p"), "--margin", "6"]) == 0
    plan = json.loads((files / "p" / "plan.json").read_text())
    lesion = plan["lesion"]
    assert lesion["volume_ml"] == 0.027
    assert lesion["share_by_label"] == {"2": 1.0}
    # faces of the lesion along x at 27.5 and 30.5, borders at 19.5 and 39.5; along y and z at 18.5, the organ's at 21.5
    assert lesion["distance_mm"]["plane"] == {"1-2": 8.0, "2-3": 9.0}
    assert lesion["distance_mm"]["pleura"] == 3.0
    # the bronchus ends at 12.5 in y and z, the lesion begins at 15.5; the nearest face centres are 3 mm off in both
    assert lesion["distance_mm"]["airway"] == pytest.approx(18**0.5, abs=0.8)
    assert plan["volumes_ml"] == {"1": 8.0, "2": 8.0, "3": 8.0}
    best = plan["resections"][0]
    assert best["labels"] == [2]
    assert best["margin_mm"] == 8.0
    assert best["sufficient"] is True
    assert (best["taken_ml"], best["left_ml"]) == (8.0, 16.0)
    assert set(best["cuts"]) == {"airway"}
    assert best["veins_to_keep"] == []
    rows = list(csv.DictReader((files / "p" / "plan.csv").read_text().splitlines()))
    assert [row["labels"] for row in rows] == [" + ".join(map(str, one["labels"])) for one in plan["resections"]]


def test_a_union_by_names(files):
    call = ["plan", str(files / "segments.nii.gz"), "--lesion", str(files / "lesion.nii.gz"), "-o", str(files / "p")]
    assert main([*call, "--resect", "liver II", "3"]) == 0
    plan = json.loads((files / "p" / "plan.json").read_text())
    assert [one["labels"] for one in plan["resections"]] == [[2, 3]]
    assert plan["resections"][0]["names"] == ["liver II", "liver III"]
    assert plan["resections"][0]["margin_mm"] == 8.0


def test_an_oblique_flipped_file_gives_the_same_plan(files):
    from scipy.spatial.transform import Rotation

    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    (files / "turned").mkdir()
    for name in ("segments", "airway", "lesion"):
        image = nibabel.load(files / f"{name}.nii.gz")
        flipped = image.as_reoriented(np.array([[1, -1], [0, 1], [2, -1]]))
        nibabel.save(nibabel.Nifti1Image(flipped.dataobj, turn @ flipped.affine), files / "turned" / f"{name}.nii.gz")
    plans = []
    for folder in (files, files / "turned"):
        call = ["plan", str(folder / "segments.nii.gz"), "--lesion", str(folder / "lesion.nii.gz")]
        assert main([*call, "--airway", str(folder / "airway.nii.gz"), "-o", str(folder / "p")]) == 0
        plans.append(json.loads((folder / "p" / "plan.json").read_text()))
    one, other = (plan["lesion"]["distance_mm"] for plan in plans)
    assert one["pleura"] == pytest.approx(other["pleura"], abs=1e-2)
    assert one["plane"] == pytest.approx(other["plane"], abs=1e-2)
    assert plans[0]["resections"][0]["labels"] == plans[1]["resections"][0]["labels"]


def test_a_folder_goes_on_after_a_bad_case(files, capsys):
    for folder in ("s", "l"):
        (files / folder).mkdir()
    labels, _, lesion = slabs()
    for case, mask in (("a", lesion), ("b", 0 * lesion)):
        write_nifti(files / "s" / f"{case}.nii.gz", labels)
        write_nifti(files / "l" / f"{case}.nii.gz", mask)
    assert main(["plan", str(files / "s"), "--lesion", str(files / "l"), "-o", str(files / "o"), "-np", "1"]) == 2
    assert (files / "o" / "a" / "plan.json").is_file()
    assert not (files / "o" / "b").exists()
    error = capsys.readouterr().err
    assert "1 of 2 cases failed" in error
    assert "b.nii.gz: found no lesion (all voxels are 0)" in error


def bad_lesion(files, where):
    lesion = np.zeros(SHAPE, np.uint8)
    lesion[where] = 1
    write_nifti(files / "bad.nii.gz", lesion)
    return ["plan", str(files / "segments.nii.gz"), "--lesion", str(files / "bad.nii.gz"), "-o", str(files / "p")]


def test_bad_input_is_one_line(files, capsys):
    segments, output = str(files / "segments.nii.gz"), str(files / "p")
    empty = np.zeros(SHAPE, np.uint8)
    write_nifti(files / "empty.nii.gz", empty)
    write_nifti(files / "small.nii.gz", empty[:20])
    lesion = ["--lesion", str(files / "lesion.nii.gz"), "-o", output]
    calls = {
        "a lesion outside all segments": bad_lesion(files, np.s_[0, 0, 0]),
        "shape (20, 24, 60), expected (24, 24, 60)": [
            "plan",
            segments,
            "--lesion",
            str(files / "small.nii.gz"),
            "-o",
            output,
        ],
        "no branch in any tree (airway)": ["branches", segments, "--airway", str(files / "empty.nii.gz"), "-o", output],
        "no tree, expected at least one of --airway": ["branches", segments, "-o", output],
        "--resect: found label 9, which has no voxel": ["plan", segments, *lesion, "--resect", "9"],
        "--margin: found -1, expected 0 to 1000 mm": ["plan", segments, *lesion, "--margin", "-1"],
        "--lesion: found": ["plan", segments, "--lesion", str(files / "none.nii.gz"), "-o", output],
    }
    for text, call in calls.items():
        assert main(call) == 2, text
        error = capsys.readouterr().err
        assert text in error
        assert not (files / "p" / "plan.json").exists()


def test_an_empty_tree_beside_another_is_noted(files):
    write_nifti(files / "empty.nii.gz", np.zeros(SHAPE, np.uint8))
    call = ["plan", str(files / "segments.nii.gz"), "--lesion", str(files / "lesion.nii.gz"), "-o", str(files / "p")]
    assert main([*call, "--artery", str(files / "empty.nii.gz")]) == 0
    plan = json.loads((files / "p" / "plan.json").read_text())
    assert plan["lesion"]["distance_mm"]["artery"] is None
    assert "no branch was found in the artery mask" in plan["notes"]


def test_subsegments_are_written_with_their_names(files):
    call = [
        "branches",
        str(files / "segments.nii.gz"),
        "--airway",
        str(files / "airway.nii.gz"),
        "-o",
        str(files / "b"),
    ]
    assert main([*call, "--subsegments"]) == 0
    divided = np.asarray(nibabel.load(files / "b" / "subsegments.nii.gz").dataobj)
    assert np.array_equal(divided.T // 10, slabs()[0])
    names = json.loads((files / "b" / "subsegments.json").read_text())
    assert names["11"] == "liver Ia"
    again = ["plan", str(files / "b" / "subsegments.nii.gz"), "--names", str(files / "b" / "subsegments.json")]
    assert main([*again, "--lesion", str(files / "lesion.nii.gz"), "-o", str(files / "p"), "--resect", "21"]) == 0
    assert main(["branches", str(files / "segments.nii.gz"), "--subsegments", "--vein", "x", "-o", "y"]) == 2

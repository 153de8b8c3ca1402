import json

import numpy as np
import pytest
import trimesh

from impulse_nnunet.cli.main import main
from tests.outputs.shapes import grid_of, save, two_boxes

LABELS = {"background": 0, "right S1": 1, "right S2": 4}


@pytest.fixture
def folder(tmp_path):
    labels = two_boxes()
    for case in ("a", "b"):
        save(tmp_path / "segments" / f"{case}.nii.gz", labels, grid_of(labels.shape, (0.7, 0.8, 2.5)))
        for tree in ("airway", "vein"):
            save(tmp_path / "trees" / tree / f"{case}.nii.gz", labels // 4, grid_of(labels.shape, (0.7, 0.8, 2.5)))
    (tmp_path / "segments" / "dataset.json").write_text(json.dumps({"labels": LABELS}))
    return tmp_path


def export(folder, *arguments):
    return main(["export", str(folder / "segments"), "-o", str(folder / "out"), "--disable_progress_bar", *arguments])


def errors(capsys):
    return capsys.readouterr().err.strip().splitlines()


def test_two_cases_on_two_processes(capsys, folder):
    assert export(folder, "--format", "stl", "3mf", "-np", "2", "--trees", str(folder / "trees")) == 0
    assert capsys.readouterr().out == f"2 case(s), 10 file(s) in {folder / 'out'}; LPS, mm\n"
    names = sorted(path.name for path in (folder / "out" / "b").iterdir())
    assert names == ["airway.stl", "right_S1.stl", "right_S2.stl", "vein.stl"]
    assert trimesh.load_mesh(folder / "out" / "b" / "right_S1.stl").is_watertight


def test_a_choice_without_smoothing_in_ras(folder):
    assert export(folder, "--format", "stl", "--labels", "right S2", "--smooth", "0", "--space", "RAS", "-np", "1") == 0
    (path,) = (folder / "out" / "a").iterdir()
    mesh = trimesh.load_mesh(path)
    # voxels 1 to 5 along x, 2 to 6 along y: to -5.5 x 0.7 and -6.5 x 0.8 mm
    np.testing.assert_allclose(mesh.bounds[0], (-5.5 * 0.7, -6.5 * 0.8, 2.5 * 2.5), atol=1e-4)


def test_one_file_and_numbers_for_names(capsys, folder):
    (folder / "segments" / "dataset.json").unlink()
    path = str(folder / "segments" / "a.nii.gz")
    assert main(["export", path, "-o", str(folder / "out"), "--format", "stl", "--disable_progress_bar"]) == 0
    assert sorted(file.name for file in (folder / "out" / "a").iterdir()) == ["label_1.stl", "label_4.stl"]
    (folder / "names.csv").write_text("1,upper\n4,lower\n")
    more = ["--format", "stl", "--names", str(folder / "names.csv"), "--disable_progress_bar"]
    assert main(["export", path, "-o", str(folder / "out"), *more]) == 0
    assert sorted(file.name for file in (folder / "out" / "a").iterdir()) == ["lower.stl", "upper.stl"]


def test_a_bad_case_stops_no_other(capsys, folder):
    labels = two_boxes()
    save(folder / "segments" / "empty.nii.gz", np.zeros_like(labels), grid_of(labels.shape))
    (folder / "segments" / "broken.nii.gz").write_bytes(b"x")
    assert export(folder, "--format", "glb", "-np", "1") == 2
    first, *reasons = errors(capsys)
    assert first == "impulse_nnunet: 2 of 4 cases failed:"
    assert "broken.nii.gz: found" in reasons[0]
    assert "empty.nii.gz: found no labelled voxel, expected at least one; leave the case out" in reasons[1]
    assert sorted(path.name for path in (folder / "out").glob("*.glb")) == ["a.glb", "b.glb"]


def test_a_shard_takes_its_share(folder):
    assert export(folder, "--format", "glb", "-np", "1", "--shard", "1/2") == 0
    assert sorted(path.name for path in (folder / "out").glob("*.glb")) == ["b.glb"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "ply"], "--format: found 'ply', expected some of stl, obj, glb, 3mf, vtp, seg.nrrd"),
        (["--format", "stl", "--smooth", "-1"], "--smooth: found -1.0, expected a distance in mm, 0 or more"),
        (["--format", "stl", "--space", "LAS"], "--space: found 'LAS', expected LPS or RAS; choose one"),
        (["--format", "stl", "--labels", "S9"], "--labels: found 'S9', expected labels by number or name (1 right S1"),
        (["--format", "stl", "-np", "0"], "-np: found 0, expected 1 or more"),
        (["--format", "stl", "--names", "gone.json"], "gone.json: found no such file"),
        (["--format", "stl", "--trees", "gone"], "gone: found no such folder, expected a folder with airway"),
    ],
)
def test_bad_flags_are_one_line(capsys, folder, arguments, message):
    assert export(folder, *arguments) == 2
    (line,) = errors(capsys)
    assert line.startswith(f"impulse_nnunet: {message}")
    assert not (folder / "out").exists()


@pytest.mark.parametrize("name", ["gone.nii.gz", "notes.txt"])
def test_no_label_map(capsys, tmp_path, name):
    (tmp_path / "notes.txt").touch()
    assert main(["export", str(tmp_path / name), "-o", str(tmp_path / "out"), "--format", "stl"]) == 2
    (line,) = errors(capsys)
    assert line.startswith(f"impulse_nnunet: {tmp_path / name}: found ")

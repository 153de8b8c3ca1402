import numpy as np
import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.outputs.export import ExportOptions, export_cases
from impulse_nnunet.outputs.names import LabelNames
from tests.outputs.shapes import grid_of, save, two_boxes

NAMES = LabelNames(names={1: "one", 4: "four", 5: "five"})


def two_cases(folder):
    labels = two_boxes()
    return {case: save(folder / f"{case}.nii.gz", labels, grid_of(labels.shape)) for case in ("a", "b")}


def options(folder, **more):
    return ExportOptions(**({"output": folder, "names": NAMES, "formats": ("stl", "glb")} | more))


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix in (".stl", ".glb")}


def test_files_of_a_folder_and_what_is_said(tmp_path):
    cases = two_cases(tmp_path / "in")
    (tmp_path / "in" / "b.nii.gz").write_bytes(b"no image")
    done = export_cases(cases, options(tmp_path / "out"), processes=1, progress=False)
    names = [str(file.relative_to(tmp_path / "out")) for file in done.files["a"]]
    assert names == ["a/one.stl", "a/four.stl", "a.glb"]
    assert done.notes == {"a": "no voxels of 5 five"}
    assert "b.nii.gz: found" in done.failures["b"]
    assert not list((tmp_path / "out").rglob(".incomplete*"))


def test_files_that_are_up_to_date_stay(tmp_path):
    cases = two_cases(tmp_path / "in")
    out = tmp_path / "out"
    export_cases(cases, options(out), progress=False)
    first = times(out)
    again = export_cases(cases, options(out), progress=False)
    assert times(out) == first
    assert len(again.files["b"]) == 3
    # another format leaves the others, another smoothing does not
    export_cases(cases, options(out, formats=("glb",), smooth_mm=0.0), progress=False)
    second = times(out)
    assert {name for name in first if first[name] != second[name]} == {"a.glb", "b.glb"}
    # another label map; a label that is gone takes its file with it
    labels = two_boxes()
    labels[labels == 4] = 0
    save(tmp_path / "in" / "a.nii.gz", labels, grid_of(labels.shape))
    export_cases(cases, options(out), progress=False)
    assert sorted(path.name for path in (out / "a").iterdir()) == ["one.stl"]
    assert sorted(path.name for path in (out / "b").iterdir()) == ["four.stl", "one.stl"]
    # a file that someone changed is made again
    (out / "b" / "one.stl").write_bytes(b"x")
    export_cases(cases, options(out), progress=False)
    assert (out / "b" / "one.stl").stat().st_size > 100
    third = times(out)
    export_cases(cases, options(out, start_over=True), progress=False)
    assert all(third[name] != time for name, time in times(out).items())


def test_no_surface_of_the_ignore_label(tmp_path):
    cases = two_cases(tmp_path / "in")
    ignoring = LabelNames(names={1: "one"}, ignore_label=4)
    done = export_cases(cases, options(tmp_path / "out", names=ignoring, formats=("stl",)), progress=False)
    assert [file.name for file in done.files["a"]] == ["one.stl"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"formats": ("stl", "ply")}, "`format`: found 'ply', expected some of stl, obj"),
        ({"formats": ()}, "`format`: found ''"),
        ({"space": "LAS"}, "`space`: found 'LAS', expected LPS or RAS"),
        ({"smooth_mm": -1.0}, "`smooth_mm`: found -1"),
        ({"smooth_mm": np.inf}, "`smooth_mm`: found inf"),
    ],
)
def test_bad_options_are_named(tmp_path, wrong, message):
    with pytest.raises(InputError, match=message):
        options(tmp_path, **wrong)

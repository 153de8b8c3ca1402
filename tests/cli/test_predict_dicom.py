"""DICOM in, labels out, by a model that lies beside the tests; the labels are those of the same image as NIfTI."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from impulse_nnunet.cli.main import main
from tests.io.dicom.made import PATIENT, PATIENT_ID, Scan, scan

MODEL = Path(__file__).resolve().parents[1] / "data" / "model_of_53b95cd"
LEAN = Rotation.from_euler("zyx", [9, -4, 7], degrees=True).as_matrix()
ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "feet first, face down": (-1, 0, 0, 0, 1, 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "oblique": tuple(LEAN[:, 0]) + tuple(LEAN[:, 1]),
}


@pytest.fixture
def model(tmp_path):
    return str(shutil.copytree(MODEL, tmp_path / "model"))


def chest(orientation=(1, 0, 0, 0, 1, 0), **more):
    """The model's test image, axes right, anterior, up, as a series in some orientation."""
    with np.load(MODEL / "image.npz") as content:
        voxels = np.rint(content["image"][0]).astype(np.int16)  # (up, anterior, right)
    made = Scan(voxels=np.zeros((1, 1, 1), np.int16), orientation=orientation)
    rows = np.abs(made.axes).argmax(0)  # LPS axis of each array axis x, y, z
    signs = np.sign(made.axes[rows, range(3)])
    turned = voxels[:, ::-1, ::-1].transpose(2 - rows[::-1])  # of left, posterior, up to the scan's axes, (z, y, x)
    turned = turned[tuple(slice(None, None, int(sign)) for sign in signs[::-1])]
    stored = np.clip(turned.astype(int) + 1024, 0, 32767).astype(np.int16)
    return Scan(voxels=stored, spacing_mm=(8.0, 8.0, 8.0), orientation=orientation, **more)


def write_nifti(made, path):
    """The same voxels with the affine that PS3.3 C.7.6.2.1.1 gives, in RAS."""
    affine = np.eye(4)
    affine[:3, :3] = made.axes * np.array(made.spacing_mm)[::-1]
    affine[:3, 3] = made.origin
    path.parent.mkdir(exist_ok=True)
    image = nibabel.Nifti1Image(made.voxels.T - 1024, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)
    nibabel.save(image, path)


def predict(model, images, output, *more):
    return main(
        [
            "predict",
            "-m",
            model,
            "-i",
            str(images),
            "-o",
            str(output),
            "-device",
            "cpu",
            *more,
            "--disable_progress_bar",
        ]
    )


def one_label_map(folder):
    (path,) = folder.glob("*.nii.gz")
    return nibabel.load(path)


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_labels_are_those_of_the_same_image_as_nifti(tmp_path, model, orientation):
    made = chest(orientation)
    made.write(tmp_path / "dicom")
    write_nifti(made, tmp_path / "nifti" / "chest_0000.nii.gz")
    assert predict(model, tmp_path / "dicom", tmp_path / "of_dicom") == 0
    assert predict(model, tmp_path / "nifti", tmp_path / "of_nifti") == 0
    found, wanted = one_label_map(tmp_path / "of_dicom"), one_label_map(tmp_path / "of_nifti")
    np.testing.assert_array_equal(np.asarray(found.dataobj), np.asarray(wanted.dataobj))
    np.testing.assert_allclose(found.affine, wanted.affine, atol=1e-5)
    assert len(np.unique(found.dataobj)) == 6


def test_padding_is_air_to_the_model(tmp_path, model):
    made = chest()
    made.voxels[:, :2] = 0  # -1024 HU
    write_nifti(made, tmp_path / "nifti" / "chest_0000.nii.gz")
    made.voxels[:, :2] = -2000
    made.tags["PixelPaddingValue"] = -2000
    made.write(tmp_path / "dicom")
    assert predict(model, tmp_path / "dicom", tmp_path / "of_dicom") == 0
    assert predict(model, tmp_path / "nifti", tmp_path / "of_nifti") == 0
    found, wanted = one_label_map(tmp_path / "of_dicom"), one_label_map(tmp_path / "of_nifti")
    np.testing.assert_array_equal(np.asarray(found.dataobj), np.asarray(wanted.dataobj))


def test_several_patients_a_bad_one_and_a_second_call(tmp_path, model, capfd):
    folder, output = tmp_path / "in", tmp_path / "out"
    chest().write(folder / PATIENT, f"{PATIENT}_{{}}")
    chest(patient_id="B").write(folder / f"{PATIENT}2", f"{PATIENT}_{{}}")
    chest(patient_id="C").write(folder / f"{PATIENT}3", f"{PATIENT}_{{}}")[5].unlink()
    assert predict(model, folder, output) == 2
    printed = capfd.readouterr()
    assert "1 of 3 cases failed" in printed.err
    assert "found 1 missing slice(s), after slice 5 of" in printed.err
    assert len(list(output.glob("ct_*.nii.gz"))) == 2
    shutil.rmtree(folder / f"{PATIENT}3")
    assert predict(model, folder, output) == 0
    again = capfd.readouterr()
    assert "0 case(s) predicted" in again.out
    assert "2 kept" in again.out
    assert main(["merge", str(output), "-i", str(folder)]) == 0
    assert "2 image(s), each with labels" in capfd.readouterr().out
    said = printed.out + printed.err + again.out + again.err
    for path in output.rglob("*"):
        said += path.name + ("" if path.is_dir() else path.read_bytes().decode("latin-1"))
    for secret in (PATIENT, PATIENT_ID, "MUELLER", "19500101"):
        assert secret not in said
    assert not list(output.glob(".*"))


def test_a_series_by_its_uid_and_another_grid(tmp_path, model):
    first = chest()
    first.write(tmp_path / "in", "a{}")
    scan((40, 8, 8), study=first.study).write(tmp_path / "in", "b{}")
    assert predict(model, tmp_path / "in", tmp_path / "out", "--series", first.series, "--spacing", "4", "4", "4") == 0
    found = one_label_map(tmp_path / "out")
    assert found.shape == tuple(2 * n for n in first.voxels.shape[::-1])


def test_reconstruct_takes_dicom(tmp_path, model, capsys):
    made = chest()
    made.write(tmp_path / "in" / "a")
    write_nifti(made, tmp_path / "nifti" / "chest_0000.nii.gz")
    assert predict(model, tmp_path / "nifti", tmp_path / "of_nifti") == 0
    command = ["reconstruct", "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--segment_model", model]
    command += ["-device", "cpu", "--disable_progress_bar"]
    assert main(command) == 0
    found, wanted = one_label_map(tmp_path / "out"), one_label_map(tmp_path / "of_nifti")
    np.testing.assert_array_equal(np.asarray(found.dataobj), np.asarray(wanted.dataobj))
    assert main(command) == 0
    assert "0 case(s) reconstructed" in capsys.readouterr().out


def test_what_the_model_does_not_take_is_one_line(tmp_path, model, capsys):
    scan(modality="MR").write(tmp_path / "mr")
    assert predict(model, tmp_path / "mr", tmp_path / "out") == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith("found 1 series of MR, expected CT, which the model takes; give a folder with such a series")
    )
    content = json.loads((Path(model) / "dataset.json").read_text())
    assert content["channel_names"] == {"0": "CT"}
    write_nifti(chest(), tmp_path / "nifti" / "chest_0000.nii.gz")
    assert predict(model, tmp_path / "nifti", tmp_path / "out", "--series", "1.2.3") == 2
    assert "--series: found 1.2.3, expected a folder of DICOM" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["predict", "reconstruct"])
def test_a_series_that_lost_a_slice_keeps_no_labels_of_the_whole_one(tmp_path, model, command):
    files = chest().write(tmp_path / "in" / "a")
    call = [command, "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-device", "cpu"]
    call += ["-m" if command == "predict" else "--segment_model", model, "--disable_progress_bar"]
    assert main(call) == 0
    (labels,) = (tmp_path / "out").glob("*.nii.gz")
    files[3].unlink()
    assert main(call) == 2
    assert not labels.exists()
    (entry,) = json.loads((tmp_path / "out" / "prediction.json").read_text())["cases"].values()
    assert entry["state"] == "failed"
    assert "1 missing slice(s)" in entry["reason"]
    assert main(["merge", str(tmp_path / "out"), "-i", str(tmp_path / "in")]) == 2


def test_what_other_options_made_of_another_image_does_not_stay(tmp_path, model):
    made = chest()
    write_nifti(made, tmp_path / "in" / "a_0000.nii.gz")
    more = ("--mesh", "obj", "--mesh_spacing", "4", "--save_displacement", "--save_probabilities")
    assert predict(model, tmp_path / "in", tmp_path / "out", *more) == 0
    files = {path.name for path in (tmp_path / "out").rglob("a.*") if "records" not in path.parts}
    assert files == {"a.nii.gz", "a.npz", "a.pkl", "a.obj", "a.mtl"}
    assert (tmp_path / "out" / "displacement" / "a.nii.gz").is_file()
    image = nibabel.load(tmp_path / "in" / "a_0000.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.roll(np.asarray(image.dataobj), 2, 0), image.affine), image.get_filename())
    assert predict(model, tmp_path / "in", tmp_path / "out") == 0
    left = [path for path in (tmp_path / "out").rglob("a.*") if "records" not in path.parts]
    assert left == [tmp_path / "out" / "a.nii.gz"]

"""The whole chain by the stock commands: what training leaves, and every way to predict."""

from __future__ import annotations

import json
import shutil

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from impulse_nnunet.decoding import volumes
from impulse_nnunet.nnunet.output_options import OutputOptions
from impulse_nnunet.nnunet.predictor import ImPulSePredictor
from tests.end_to_end.conftest import MODEL, make_workplace

pytestmark = pytest.mark.slow
CASES = ("chest_008", "chest_009", "chest_010")


def read(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def assert_same_labels(folder, reference):
    for case in CASES:
        found, wanted = folder / f"{case}.nii.gz", reference / f"{case}.nii.gz"
        np.testing.assert_array_equal(read(found), read(wanted))
        assert nibabel.load(found).affine.tolist() == nibabel.load(wanted).affine.tolist()


def test_plans_stay_readable_by_stock_nnunet(planned):
    plans = json.loads((planned.preprocessed / "ImPulSePlans.json").read_text())
    configuration = plans["configurations"]["3d_impulse"]
    assert plans["image_reader_writer"] == "NibabelIOWithReorient"
    assert configuration["preprocessor_name"] == "DefaultPreprocessor"
    assert {configuration[f"resampling_fn_{what}"] for what in ("data", "seg", "probabilities")} == {
        "no_resampling_hack"
    }
    assert configuration["impulse"]["training"]["epochs"] == 2


def test_training_leaves_what_nnunet_expects(trained):
    fold = trained.model / "fold_0"
    for name in ("checkpoint_final.pth", "checkpoint_best.pth", "progress.png", "debug.json", "template.nii.gz"):
        assert (fold / name).stat().st_size > 0
    for name in ("plans.json", "dataset.json", "dataset_fingerprint.json"):
        assert (trained.model / name).is_file()
    assert list((fold / "tensorboard").iterdir())
    log = next(fold.glob("training_log_*.txt")).read_text()
    assert "Template (frequency) alone reaches a Dice of 0." in log
    assert not list(trained.model.rglob(".incomplete*"))


def test_validation_summary_holds_all_cases_and_labels(trained):
    summary = json.loads((trained.model / "fold_0/validation/summary.json").read_text())
    splits = json.loads((trained.preprocessed / "splits_final.json").read_text())
    assert len(summary["metric_per_case"]) == len(splits[0]["val"])
    assert set(summary["mean"]) == {"1", "2", "3", "4", "5"}
    assert 0 < summary["foreground_mean"]["Dice"] <= 1


def test_checkpoint_of_the_network_has_the_template_and_no_template_network(trained):
    checkpoint = torch.load(trained.model / "fold_0/checkpoint_final.pth", weights_only=False)
    names = checkpoint["network_weights"].keys()
    template = checkpoint["network_weights"]["decoder.template.logits"]
    assert [name for name in names if "template" in name] == ["decoder.template.logits"]
    probabilities = template.softmax(1).sum(1)
    torch.testing.assert_close(probabilities, torch.ones_like(probabilities))
    assert template.std() > 0


def test_our_command_writes_the_labels_of_stock_predict(trained, labels):
    output = trained.base / "ours"
    trained.run(
        "impulse_nnunet", "predict", *MODEL, "-i", str(trained.raw / "imagesTs"), "-o", str(output), "-device", "cpu"
    )
    assert_same_labels(output, labels)


def test_modelfolder_command_writes_the_same_labels(trained, labels):
    output = trained.base / "modelfolder"
    trained.run(
        "nnUNetv2_predict_from_modelfolder",
        "-m",
        str(trained.model),
        "-f",
        "0",
        "-i",
        str(trained.raw / "imagesTs"),
        "-o",
        str(output),
        "-device",
        "cpu",
        "-npp",
        "1",
        "-nps",
        "1",
    )
    assert_same_labels(output, labels)


def test_probabilities_fit_the_labels(labels):
    for case in CASES:
        probabilities = np.load(labels / f"{case}.npz")["probabilities"]
        np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
        np.testing.assert_array_equal(probabilities.argmax(0), read_reoriented(labels / f"{case}.nii.gz"))


def read_reoriented(path):
    image = nibabel.as_closest_canonical(nibabel.load(path))
    return np.asarray(image.dataobj).transpose(2, 1, 0)


def test_scripted_predictors_give_the_same_labels(trained, labels, monkeypatch):
    import nnunetv2.inference.predict_from_raw_data as stock

    for name in ("nnUNet_results", "nnUNet_extTrainer"):
        monkeypatch.setenv(name, trained.environment[name])
    torch.set_num_threads(torch.get_num_threads())
    predictor = stock.nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(trained.model), (0,))
    reader = predictor.plans_manager.image_reader_writer_class()
    ours = ImPulSePredictor(torch.device("cpu"), progress_bar=False)
    ours.initialize_from_trained_model_folder(str(trained.model), (0,))
    for case in CASES:
        image, properties = reader.read_images((str(trained.raw / f"imagesTs/{case}_0000.nii.gz"),))
        wanted = read_reoriented(labels / f"{case}.nii.gz")
        np.testing.assert_array_equal(predictor.predict_single_npy_array(image, properties), wanted)
        np.testing.assert_array_equal(ours.predict_array(image, properties["spacing"]), wanted)


def test_case_in_another_orientation_gets_the_same_labels_at_the_same_places(trained, labels):
    images, output = trained.base / "turned", trained.base / "turned_out"
    images.mkdir()
    for case, axes in zip(CASES, ("LPS", "PIR", "ASL"), strict=True):
        image = nibabel.load(trained.raw / f"imagesTs/{case}_0000.nii.gz")
        target = nibabel.orientations.axcodes2ornt(axes)
        turn = nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), target)
        turned = image.as_reoriented(turn)
        assert "".join(nibabel.aff2axcodes(turned.affine)) == axes
        nibabel.save(turned, images / f"{case}_0000.nii.gz")
    trained.run("impulse_nnunet", "predict", *MODEL, "-i", str(images), "-o", str(output), "-device", "cpu")
    for case in CASES:
        assert nibabel.aff2axcodes(nibabel.load(output / f"{case}.nii.gz").affine) == nibabel.aff2axcodes(
            nibabel.load(images / f"{case}_0000.nii.gz").affine
        )
        np.testing.assert_array_equal(
            read_reoriented(output / f"{case}.nii.gz"), read_reoriented(labels / f"{case}.nii.gz")
        )


def test_other_output_grids(trained, labels):
    """On a twice finer grid each native voxel splits in 8; nearest neighbours agree but for voxels at the borders."""
    case = CASES[0]
    source = sitk.ReadImage(str(trained.raw / f"imagesTs/{case}_0000.nii.gz"))
    fine, like = trained.base / "fine", trained.base / "like"
    command = ("impulse_nnunet", "predict", *MODEL, "-i", str(trained.raw / "imagesTs"), "-device", "cpu")
    trained.run(*command, "-o", str(fine), "--spacing", "4", "4", "4")
    image = sitk.ReadImage(str(fine / f"{case}.nii.gz"))
    assert image.GetSize() == tuple(2 * n for n in source.GetSize())
    assert image.GetSpacing() == (4.0, 4.0, 4.0)
    corner = image.TransformContinuousIndexToPhysicalPoint((-0.5, -0.5, -0.5))
    np.testing.assert_allclose(corner, source.TransformContinuousIndexToPhysicalPoint((-0.5, -0.5, -0.5)), atol=1e-4)
    native = sitk.ReadImage(str(labels / f"{case}.nii.gz"))
    repeated = sitk.Resample(native, image, sitk.Transform(), sitk.sitkNearestNeighbor)
    agree = np.mean(sitk.GetArrayFromImage(image) == sitk.GetArrayFromImage(repeated))
    assert agree > 0.95
    own = trained.raw / f"imagesTs/{case}_0000.nii.gz"
    trained.run(*command, "-o", str(like), "--like", str(own), "--save_displacement")
    np.testing.assert_array_equal(read(like / f"{case}.nii.gz"), read(labels / f"{case}.nii.gz"))
    field = sitk.ReadImage(str(like / f"displacement/{case}.nii.gz"))
    assert field.GetNumberOfComponentsPerPixel() == 3
    assert field.GetSize() == source.GetSize()
    assert np.isfinite(sitk.GetArrayFromImage(field)).all()


def test_the_displacement_lies_on_the_grid_of_the_labels(trained, tmp_path, monkeypatch):
    """Where a grid has the same places as another, and shears and turns nothing, it has the same vectors."""
    monkeypatch.setattr(volumes, "SLAB_VOXELS", 1000)  # one plane at a time
    case = CASES[0]
    file = trained.raw / f"imagesTs/{case}_0000.nii.gz"
    source = sitk.ReadImage(str(file))
    part = tmp_path / "part.nii.gz"
    sitk.WriteImage(source[5:20, 3:25, 2:21], str(part))
    turned = tmp_path / "turned.nii.gz"
    sitk.WriteImage(sitk.DICOMOrient(source, "ASL"), str(turned))
    predictor = ImPulSePredictor(torch.device("cpu"), progress_bar=False)
    predictor.initialize_from_trained_model_folder(str(trained.model), (0,))
    found = {}
    for name, grid in {
        "own": {},
        "part": {"like": str(part)},
        "turned": {"like": str(turned)},
        "fine": {"spacing_mm": (8 / 3,) * 3},  # a third: every third voxel, from the second on, is a voxel of the image
    }.items():
        options = OutputOptions(displacement=True, **grid)
        predictor.predict_cases({case: [str(file)]}, tmp_path / name, options)
        found[name] = sitk.ReadImage(str(tmp_path / f"{name}/displacement/{case}.nii.gz"))
        assert found[name].GetSize() == sitk.ReadImage(str(tmp_path / f"{name}/{case}.nii.gz")).GetSize()
    own = sitk.GetArrayFromImage(found["own"])
    assert np.abs(own).max() > 0.1  # mm
    close = {"rtol": 1e-3, "atol": 1e-3}
    np.testing.assert_allclose(sitk.GetArrayFromImage(found["part"]), own[2:21, 3:25, 5:20], **close)
    np.testing.assert_allclose(sitk.GetArrayFromImage(found["fine"])[1::3, 1::3, 1::3], own, **close)
    point = source.TransformIndexToPhysicalPoint((7, 11, 9))
    index = found["turned"].TransformPhysicalPointToIndex(point)
    np.testing.assert_allclose(found["turned"][index], own[9, 11, 7], **close)


def test_one_bad_case_does_not_stop_the_others(trained, labels):
    images, output = trained.base / "with_bad", trained.base / "with_bad_out"
    shutil.copytree(trained.raw / "imagesTs", images)
    whole = (images / f"{CASES[1]}_0000.nii.gz").read_bytes()
    (images / f"{CASES[1]}_0000.nii.gz").write_bytes(whole[: len(whole) // 2])
    command = ("impulse_nnunet", "predict", *MODEL, "-i", str(images), "-o", str(output), "-device", "cpu")
    finished = trained.run(*command, expect=2)
    assert "1 of 3 cases failed" in finished.stderr
    assert f"{CASES[1]}_0000.nii.gz: found an unreadable file" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert sorted(path.name for path in output.glob("*.nii.gz")) == [f"{CASES[0]}.nii.gz", f"{CASES[2]}.nii.gz"]
    (images / f"{CASES[1]}_0000.nii.gz").write_bytes(whole)
    before = (output / f"{CASES[0]}.nii.gz").stat().st_mtime_ns
    finished = trained.run(*command, "--continue_prediction")
    assert "1 case(s) predicted" in finished.stdout
    assert (output / f"{CASES[0]}.nii.gz").stat().st_mtime_ns == before
    assert_same_labels(output, labels)
    assert "0 case(s) predicted" in trained.run(*command).stdout  # it resumes without a flag
    shutil.copyfile(images / f"{CASES[0]}_0000.nii.gz", images / f"{CASES[2]}_0000.nii.gz")
    (output / f"{CASES[1]}.nii.gz").write_bytes(b"of another program")
    assert "2 case(s) predicted into" in trained.run(*command).stdout
    assert "3 case(s) predicted into" in trained.run(*command, "--spacing", "2", "2", "2").stdout  # other options
    assert "3 case(s) predicted into" in trained.run(*command, "--spacing", "2", "2", "2", "--overwrite").stdout


def test_parts_share_the_cases(trained):
    output = trained.base / "parts"
    for part in ("0", "1"):
        trained.run(
            "impulse_nnunet",
            "predict",
            *MODEL,
            "-i",
            str(trained.raw / "imagesTs"),
            "-o",
            str(output),
            "-device",
            "cpu",
            "-num_parts",
            "2",
            "-part_id",
            part,
        )
        assert len(list(output.glob("*.nii.gz"))) == (2 if part == "0" else 3)


def test_zip_round_trip(trained, labels, tmp_path):
    archive = tmp_path / "model.zip"
    trained.run(
        "nnUNetv2_export_model_to_zip",
        "-d",
        "990",
        "-o",
        str(archive),
        "-c",
        "3d_impulse",
        "-tr",
        "nnUNetTrainerImPulSe",
        "-p",
        "ImPulSePlans",
        "-f",
        "0",
    )
    assert "safe and complete" in trained.run("impulse_nnunet", "check_model", str(archive)).stdout
    elsewhere = make_workplace(tmp_path)
    (tmp_path / "nnUNet_results").mkdir()
    elsewhere.run("nnUNetv2_install_pretrained_model_from_zip", str(archive))
    shutil.copytree(trained.raw, elsewhere.raw)
    output = tmp_path / "out"
    elsewhere.run(
        "nnUNetv2_predict",
        *MODEL,
        "-i",
        str(elsewhere.raw / "imagesTs"),
        "-o",
        str(output),
        "-device",
        "cpu",
        "-npp",
        "1",
        "-nps",
        "1",
    )
    assert_same_labels(output, labels)


def test_find_best_configuration_and_ensemble_go_on_working(trained, labels, tmp_path):
    finished = trained.run(
        "nnUNetv2_find_best_configuration",
        "990",
        "-c",
        "3d_impulse",
        "-tr",
        "nnUNetTrainerImPulSe",
        "-p",
        "ImPulSePlans",
        "-f",
        "0",
        "-np",
        "1",
    )
    assert "*Best*: nnUNetTrainerImPulSe__ImPulSePlans__3d_impulse" in finished.stdout
    trained.run("nnUNetv2_ensemble", "-i", str(labels), str(labels), "-o", str(tmp_path / "ensemble"), "-np", "1")
    assert_same_labels(tmp_path / "ensemble", labels)

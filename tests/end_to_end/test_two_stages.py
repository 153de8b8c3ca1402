"""Bronchi and vessels of a real cross-validation become inputs of the segment stage; and trees that are no channels."""

import json
import pickle
import shutil

import nibabel
import numpy as np
import pytest

from tests.end_to_end.conftest import TINY, make_workplace

pytestmark = pytest.mark.slow
BAV, SEGMENTS = "Dataset802_PhantomBAV", "Dataset801_PhantomSegments"
IBAV = "Dataset804_PhantomSegments_IBAV"
MODEL = "nnUNetTrainerImPulSe__ImPulSePlans__3d_impulse"
CASES = [f"phantom_{number:05d}" for number in range(1, 5)]
SPLITS = [{"train": CASES[2:], "val": CASES[:2]}, {"train": CASES[:2], "val": CASES[2:]}]


def plan(workplace, number):
    sets = [part for setting in TINY for part in ("--set", setting)]
    workplace.run(
        "impulse_nnunet", "plan_and_preprocess", "-d", str(number), "-npfp", "1", "-np", "1", "--no_pbar", *sets
    )


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A tiny cohort with folds of its own, and both stages by the pipeline, with a tiny model in each."""
    workplace = make_workplace(tmp_path_factory.mktemp("two_stages"))
    size = ("--size", "24", "32", "36", "--disable_progress_bar")
    workplace.run("impulse_nnunet", "phantom", "-d", "801", "-n", "4", "--test", "1", *size)
    for name in (BAV, SEGMENTS):
        split = workplace.base / "nnUNet_preprocessed" / name / "splits_final.json"
        split.parent.mkdir(parents=True)
        split.write_text(json.dumps(SPLITS))
    (workplace.base / "pipeline.txt").write_text(run_pipeline(workplace).stdout)
    return workplace


def run_pipeline(workplace, *arguments, expect=0):
    ours = ("--bav_tr", "nnUNetTrainerImPulSe", "--bav_pl", "ImPulSePlanner", "--bav_c", "3d_impulse")
    sets = [part for setting in TINY for flag in ("--set", "--bav_set") for part in (flag, setting)]
    return workplace.run(
        "impulse_nnunet",
        "pipeline",
        "-d",
        "801",
        "--inputs",
        "ibav",
        "--folds",
        "0",
        "-device",
        "cpu",
        "-np",
        "1",
        *ours,
        *sets,
        *arguments,
        expect=expect,
    )


def build(workplace, number, *arguments, expect=0):
    return workplace.run(
        "impulse_nnunet",
        "build_inputs",
        "-d",
        str(number),
        "--ct",
        "801",
        "-device",
        "cpu",
        "--disable_progress_bar",
        *arguments,
        expect=expect,
    )


def model_of(workplace):
    return workplace.base / "nnUNet_results" / BAV / MODEL


def segment_model_of(workplace):
    return workplace.base / "nnUNet_results" / IBAV / MODEL


def channels(folder, case, part="Tr"):
    files = [folder / f"images{part}" / f"{case}_{channel:04d}.nii.gz" for channel in (1, 2, 3)]
    return [np.asarray(nibabel.load(file).dataobj) for file in files]


def test_the_pipeline_goes_from_raw_folders_to_scores(workplace):
    segment_model = segment_model_of(workplace)
    output = segment_model.with_name(f"{MODEL}__pipeline")
    summary = json.loads((output / "predictions" / "summary.json").read_text())
    assert len(summary["metric_per_case"]) == 1
    assert {"NIB", "NIA", "NIV"} <= set(
        (output / "predictions" / "metrics.csv").read_text().replace(",", "\n").split("\n")
    )
    assert (output / "report.html").stat().st_size > 10000
    titles = [line for line in (workplace.base / "pipeline.txt").read_text().splitlines() if line.endswith("to do")]
    assert [line.split("] ")[1].removesuffix(": to do") for line in titles] == [
        "bav: plans and preprocessing",
        "bav: training of fold 0",
        "bav: training of fold 1",
        "inputs of the segment stage (CT, bronchus, artery, vein)",
        "segments: plans and preprocessing",
        "segments: training of fold 0",
        "segments of the test cases",
        "scores",
        "report with pictures",
    ]
    weights = (segment_model / "fold_0" / "checkpoint_final.pth").stat().st_mtime_ns
    again = run_pipeline(workplace)
    assert again.stdout.count("done before") == 9
    assert (segment_model / "fold_0" / "checkpoint_final.pth").stat().st_mtime_ns == weights
    changed = run_pipeline(workplace, "--dry_run", "--disable_tta", "--set", "impulse.training.seed=1")
    assert changed.stdout.count("done before") == 3
    assert "segments: plans and preprocessing: again, since this changed: commands" in changed.stdout


def test_shapes_are_out_of_fold_and_test_cases_are_predicted(workplace):
    folder = workplace.base / "nnUNet_raw" / IBAV
    record = json.loads((folder / "inputs.json").read_text())["cases"]
    for case, fold in zip(CASES, (0, 0, 1, 1), strict=True):
        assert record[case]["bav"] == f"validation of fold {fold} of {BAV}/{MODEL}"
        labels = nibabel.load(model_of(workplace) / f"fold_{fold}" / "validation" / f"{case}.nii.gz").get_fdata()
        for number, mask in enumerate(channels(folder, case), 1):
            np.testing.assert_array_equal(mask, labels == number)
    assert record["phantom_90001"]["bav"] == f"predicted by {BAV}/{MODEL}, folds 0, 1"
    # what nnU-Net's own command predicts of the same image
    output = workplace.base / "direct"
    workplace.run(
        "nnUNetv2_predict_from_modelfolder",
        "-i",
        str(workplace.base / "nnUNet_raw" / BAV / "imagesTs"),
        "-o",
        str(output),
        "-m",
        str(model_of(workplace)),
        "-f",
        "0",
        "1",
        "-device",
        "cpu",
    )
    direct = nibabel.load(output / "phantom_90001.nii.gz").get_fdata()
    for number, mask in enumerate(channels(folder, "phantom_90001", "Ts"), 1):
        np.testing.assert_array_equal(mask, direct == number)
    split = workplace.base / "nnUNet_preprocessed" / folder.name / "splits_final.json"
    assert json.loads(split.read_text()) == SPLITS


def test_a_prediction_that_an_interruption_left_half_written_is_made_again(workplace):
    arguments = ("--inputs", "ibav", "--bav", str(model_of(workplace)))
    folder = workplace.base / "nnUNet_raw" / IBAV
    predicted = folder / "predicted_bav" / "phantom_90001.nii.gz"
    expected, whole = channels(folder, "phantom_90001", "Ts"), predicted.read_bytes()
    predicted.write_bytes(whole[: len(whole) // 2])
    (folder / "imagesTs" / "phantom_90001_0001.nii.gz").unlink()
    build(workplace, 804, *arguments)
    for found, wanted in zip(channels(folder, "phantom_90001", "Ts"), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_model_whose_every_fold_saw_a_case_is_refused(workplace):
    arguments = ("--inputs", "ibav", "--bav", str(model_of(workplace)), "--bav_folds", "1")
    finished = build(workplace, 821, *arguments, expect=2)
    assert "2 of 5 cases failed" in finished.stderr
    assert f"phantom_00001: found that every trained fold of {BAV}/{MODEL} (1) saw it" in finished.stderr
    assert not (workplace.base / "nnUNet_raw" / "Dataset821_PhantomSegments_IBAV" / "dataset.json").exists()


def test_lobes_alone_train_on_points_inside_trees_that_are_no_channels(workplace):
    build(workplace, 822, "--inputs", "l", "--lobes", "ground_truth")
    plan(workplace, 822)
    base = workplace.base / "nnUNet_preprocessed" / "Dataset822_PhantomSegments_L"
    plans = json.loads((base / "ImPulSePlans.json").read_text())["configurations"]["3d_impulse"]["impulse"]
    assert plans["sampling"]["mask_channels"] == []
    assert plans["sampling"]["tree_folders"] == ["trees/airway", "trees/artery", "trees/vein"]
    assert plans["sampling"]["mask_share"] == 0.3
    assert plans["augmentation"]["fixed_channels"] == [0, 1, 2, 3, 4]
    properties = pickle.loads((base / "ImPulSePlans_3d_impulse" / f"{CASES[0]}.pkl").read_bytes())
    trees = workplace.base / "nnUNet_raw" / SEGMENTS / "trees"
    union = np.zeros((36, 32, 24), bool)
    for name in ("airway", "artery", "vein"):
        union |= nibabel.as_closest_canonical(nibabel.load(trees / name / f"{CASES[0]}.nii.gz")).get_fdata() > 0
    # the reader turns to RAS and hands (z, y, x) on; the crop to the lobes' box cuts the trachea
    box = properties["bbox_used_for_cropping"]
    expected = np.argwhere(union.T[tuple(slice(*ends) for ends in box)])
    assert sorted(properties["impulse"]["mask_voxels"].tolist()) == sorted(expected.tolist())
    assert 0 < len(expected) < union.sum()
    workplace.run(
        "nnUNetv2_train",
        "822",
        "3d_impulse",
        "0",
        "-tr",
        "nnUNetTrainerImPulSe",
        "-p",
        "ImPulSePlans",
        "-device",
        "cpu",
    )


def test_a_missing_tree_is_named_in_preprocessing(workplace):
    build(workplace, 823, "--inputs", "i")
    shutil.rmtree(workplace.base / "nnUNet_raw" / "Dataset823_PhantomSegments_I" / "trees" / "vein")
    finished = workplace.run(
        "impulse_nnunet", "plan_and_preprocess", "-d", "823", "-npfp", "1", "-np", "1", "--no_pbar", expect=2
    )
    assert "trees/vein/phantom_00001.nii.gz: found no such file" in finished.stderr


def test_one_command_goes_from_ct_to_segments_by_both_stages(workplace, tmp_path):
    segment_model = segment_model_of(workplace)
    # the same in single steps: the test case's channels, as build_inputs made them, through the predictor
    channels_of_test_case = workplace.base / "nnUNet_raw" / IBAV / "imagesTs"
    workplace.run(
        "impulse_nnunet",
        "predict",
        "-m",
        str(segment_model),
        "-i",
        str(channels_of_test_case),
        "-o",
        str(tmp_path / "steps"),
        "-device",
        "cpu",
    )
    cts = tmp_path / "cts"
    shutil.copytree(workplace.base / "nnUNet_raw" / SEGMENTS / "imagesTs", cts)
    whole = (cts / "phantom_90001_0000.nii.gz").read_bytes()
    (cts / "cut_off_0000.nii.gz").write_bytes(whole[: len(whole) // 2])
    command = ["impulse_nnunet", "reconstruct", "-i", str(cts), "--segment_model", str(segment_model), "-device", "cpu"]
    both = [*command, "--bav_model", str(model_of(workplace))]
    on_its_own_grid = ["--like", str(cts / "phantom_90001_0000.nii.gz"), "--save_displacement"]
    finished = workplace.run(*both, *on_its_own_grid, "-o", str(tmp_path / "one"), expect=2)
    assert "1 of 2 cases failed" in finished.stderr
    assert "cut_off" in finished.stderr
    (cts / "cut_off_0000.nii.gz").unlink()
    found, wanted = (nibabel.load(tmp_path / folder / "phantom_90001.nii.gz") for folder in ("one", "steps"))
    np.testing.assert_array_equal(np.asarray(found.dataobj), np.asarray(wanted.dataobj))
    np.testing.assert_allclose(found.affine, wanted.affine)
    assert len(np.unique(wanted.dataobj)) > 1
    assert nibabel.load(tmp_path / "one/displacement/phantom_90001.nii.gz").shape == (*found.shape, 1, 3)
    assert not (tmp_path / "one" / "masks").exists()
    flags = (*on_its_own_grid, "--continue_prediction", "--keep_masks")
    kept = workplace.run(*both, "-o", str(tmp_path / "one"), *flags)
    assert "0 case(s) reconstructed" in kept.stdout
    refused = workplace.run(*command, "-o", str(tmp_path / "none"), expect=2)
    assert (
        "--bav_model: found nothing, expected a model's folder; the segment model takes the input 'ibav'; give it"
        in (refused.stderr)
    )
    assert not (tmp_path / "none").exists()
    superfluous = workplace.run(*both, "-o", str(tmp_path / "none"), "--lobe_model", str(segment_model), expect=2)
    assert "the segment model takes the input 'ibav'; leave it out" in superfluous.stderr

"""What is found in cases that are predicted, through files: the same by our prediction and by stock nnU-Net's."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from impulse_nnunet.errors import CasesFailedError
from impulse_nnunet.laterality.pose import learn_pose
from impulse_nnunet.nnunet.output_options import OutputOptions
from impulse_nnunet.nnunet.predictor import ImPulSePredictor
from impulse_nnunet.nnunet.routing import route_stock_predictor
from impulse_nnunet.nnunet.training_cases import compare_training_cases
from impulse_nnunet.plausibility.judgement import learn
from impulse_nnunet.plausibility.learned import LearnedLabel, LearnedPlausibility
from impulse_nnunet.preprocessing.survey import facts_of, poses_of, survey_dataset
from impulse_nnunet.settings import from_json, to_json
from tests.laterality.test_cases import LABELS, write_model_of
from tests.laterality.test_pose import patient
from tests.support import write_nifti

CONTENT = {
    "labels": {"background": 0, "a": 1, "b": 2},
    "channel_names": {"0": "CT", "1": "noNorm"},
    "file_ending": ".nii.gz",
}


def mask(seed):
    found = np.zeros((30, 32, 40), np.float32)
    found[8 : 20 + seed % 3, 14:18, 18:22] = 1
    return found


def write_channels(folder, name, image, trees, spacing_mm=(3.0, 3.0, 3.0)):
    folder.mkdir(exist_ok=True)
    pairs = enumerate((image, trees))
    return [write_nifti(folder / f"{name}_000{n}.nii.gz", c.astype(np.float32), spacing_mm) for n, c in pairs]


def survey_of(folder, change=lambda seed, image, trees: (image, trees)):
    cases = {}
    for seed in range(8):
        files = write_channels(folder, f"c{seed}", *change(seed, patient(seed), mask(seed)))
        cases[f"c{seed}"] = {"images": files, "label": write_nifti(folder / f"c{seed}.nii.gz", LABELS, (3.0,) * 3)}
    return survey_dataset(cases, NibabelIOWithReorient, CONTENT, 1, False)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Of eight cases; labels are left out, since the small model's are random."""
    survey = survey_of(tmp_path_factory.mktemp("training"))
    found = learn(list(facts_of(survey).values()), [1, 2])
    assert [label.label for label in found.labels] == [1, 2]
    return replace(found, labels=(), volume_ml=(), touching=()), learn_pose(poses_of(survey))


@pytest.fixture(scope="module")
def model(tmp_path_factory, learned):
    plausibility, pose = learned
    laterality = {"pose": pose.pattern, "pose_axes": list(pose.axes)}
    parts = {"plausibility": to_json(plausibility), "laterality": laterality}
    return write_model_of(tmp_path_factory.mktemp("model"), "", **parts)


def loaded(model):
    predictor = ImPulSePredictor(torch.device("cpu"), progress_bar=False)
    predictor.initialize_from_trained_model_folder(str(model), (0,))
    return predictor


def kinds_in(folder):
    cases = json.loads((folder / "prediction.json").read_text())["cases"]
    return {case: [found["kind"] for found in entry["findings"]] for case, entry in cases.items()}


EXPECTED = {
    "honest": [],
    "shifted": ["hu_shift"],
    "clipped": ["hu_range"],
    "scaled_mask": ["mask_values"],
    "image_as_mask": ["mask_values"],
    "empty_mask": ["mask_empty"],
    "upside_down": ["upside_down"],
    "short": ["fov_cut"],
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder, image, trees = tmp_path_factory.mktemp("in"), patient(60), mask(1)
    write_channels(folder, "honest", image, trees)
    write_channels(folder, "shifted", image + 1024, trees)
    write_channels(folder, "clipped", np.clip(image, -100, 300), trees)
    write_channels(folder, "scaled_mask", image, trees * 255)
    write_channels(folder, "image_as_mask", image, image)
    write_channels(folder, "empty_mask", image, trees * 0)
    write_channels(folder, "upside_down", image[::-1], trees)
    write_channels(folder, "short", image[12:17], trees[12:17])
    return folder


@pytest.mark.filterwarnings("default")  # stock loading of checkpoints
def test_each_kind_is_found_and_the_labels_are_written(model, images, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "impulse_nnunet"):
        loaded(model).predict_folder(images, tmp_path / "ours")
    found = kinds_in(tmp_path / "ours")
    assert {case: kinds for case, kinds in found.items() if case != "short"} == {
        case: kinds for case, kinds in EXPECTED.items() if case != "short"
    }
    assert "fov_cut" in found["short"]
    assert all((tmp_path / "ours" / f"{case}.nii.gz").is_file() for case in EXPECTED)
    line = next(record.getMessage() for record in caplog.records if "shifted" in record.getMessage())
    assert line.startswith("shifted: CT values look shifted by +10")
    assert "\n" not in line
    route_stock_predictor()
    stock = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False, perform_everything_on_device=False)
    stock.initialize_from_trained_model_folder(str(model), (0,))
    stock.predict_from_files(str(images), str(tmp_path / "stock"))
    assert kinds_in(tmp_path / "stock") == found


def test_labels_are_judged_on_any_grid_that_holds_the_image(learned, images, tmp_path):
    huge = LearnedLabel(label=1, missing=False, volume_ml=(1e6, 2e6), place=(-9, 9, -9, 9, -9, 9))
    known = replace(learned[0], labels=(huge,), volume_ml=(1e6, 2e6), touching=(1.0,) * 6)
    predictor = loaded(write_model_of(tmp_path / "model", "", plausibility=to_json(known)))
    cases = {"honest": [str(images / f"honest_000{n}.nii.gz") for n in (0, 1)]}
    like = write_nifti(tmp_path / "part.nii.gz", np.zeros((5, 5, 5), np.uint8))
    found = {}
    for name, options in (
        ("own", OutputOptions(probabilities=True)),
        ("finer", OutputOptions(spacing_mm=(2.0, 2.0, 2.0))),
        ("part", OutputOptions(like=like)),
    ):
        predictor.predict_cases(cases, tmp_path / name, options)
        found[name] = set(kinds_in(tmp_path / name)["honest"])
    assert "total_volume" in found["own"]
    assert found["own"] <= {"total_volume", "label_volume", "label_missing"}
    assert found["finer"] == found["own"]
    assert found["part"] == set()
    stored = np.load(tmp_path / "own" / "honest.pkl", allow_pickle=True)
    assert not any("sample" in key for key in stored)  # nnU-Net reads this file


def test_plans_from_before_are_checked_against_nothing_and_that_is_said_once(images, tmp_path, caplog):
    predictor = loaded(write_model_of(tmp_path / "model", ""))
    with caplog.at_level(logging.WARNING, "impulse_nnunet"):
        predictor.predict_folder(images, tmp_path / "out")
    assert set(map(tuple, kinds_in(tmp_path / "out").values())) == {()}
    assert sum("these plans hold nothing of the training cases" in r.getMessage() for r in caplog.records) == 1


def test_the_plans_hold_what_was_learned(learned):
    again = from_json(LearnedPlausibility, json.loads(json.dumps(to_json(learned[0]))), "impulse.plausibility")
    assert again == learned[0]


def test_training_cases_that_differ_are_named_when_they_are_planned(tmp_path, caplog):
    def change(seed, image, trees):
        return (image + 1024 if seed == 2 else image[::-1] if seed == 5 else image), trees * (seed != 6)

    survey = survey_of(tmp_path, change)
    with caplog.at_level(logging.WARNING, "impulse_nnunet"):
        compare_training_cases(survey, CONTENT)
    lines = [record.getMessage() for record in caplog.records]
    assert any(
        line.startswith("1 of 8 training cases differ from the others, hu_shift: c2: CT values look shifted by +1")
        for line in lines
    )
    assert any("mask_empty: c6: mask channel 0001 (noNorm) is empty" in line for line in lines)
    assert "1 of 8 training images look upside down: c5; check them" in lines


def test_masks_stored_otherwise_than_those_of_most_training_cases_are_refused(tmp_path):
    survey = survey_of(tmp_path, lambda seed, image, trees: (image, trees * (255 if seed < 3 else 1)))
    message = (
        r"3 of 8 cases failed:\n  c0: found values 0 to 255 in mask channel 0001 \(noNorm\), expected 0 to 1 as in "
        r"most cases; store the masks of all cases alike\n"
    )
    with pytest.raises(CasesFailedError, match=message):
        compare_training_cases(survey, CONTENT)
    (tmp_path / "hu").mkdir()
    survey = survey_of(tmp_path / "hu", lambda seed, image, trees: (image, image))
    with pytest.raises(CasesFailedError, match=r"c7: found values -10.* to .* in mask channel 0001 .* a mask; store"):
        compare_training_cases(survey, CONTENT)

"""Through files: training cases of a data set, and a prediction."""

import json
import logging

import numpy as np
import pytest
import torch
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient

from impulse_nnunet.laterality.asymmetry import decode
from impulse_nnunet.laterality.judgement import learn, prediction_summary, training_warnings
from impulse_nnunet.nnunet.predictor import ImPulSePredictor
from impulse_nnunet.preprocessing.survey import asymmetries_of, survey_dataset
from tests.laterality.bodies import body
from tests.security.harmful import plans_content, write_model
from tests.support import write_nifti

CONTENT = {
    "labels": {"background": 0, "right lung": 1, "left lung": 2},
    "channel_names": {"0": "CT"},
    "file_ending": ".nii.gz",
}
LABELS = np.zeros((30, 32, 40), np.uint8)
LABELS[10:20, 10:20, 5:15], LABELS[10:20, 10:20, 25:35] = 1, 2  # w grows towards the left in the files below


def write_case(folder, name, image, labels):
    return {
        "images": [write_nifti(folder / f"{name}_0000.nii.gz", image.astype(np.float32), (3.0, 3.0, 3.0))],
        "label": write_nifti(folder / f"{name}.nii.gz", labels, (3.0, 3.0, 3.0)),
    }


def survey_of(folder, mirrored=(), content=CONTENT):
    cases = {}
    for seed in range(10):
        turn = slice(None, None, -1 if seed in mirrored else 1)
        cases[f"case_{seed}"] = write_case(folder, f"case_{seed}", body(seed)[..., turn], LABELS[..., turn].copy())
    return survey_dataset(cases, NibabelIOWithReorient, content, 1, False)


def test_a_mirrored_training_case_is_named_twice(tmp_path):
    survey = survey_of(tmp_path, mirrored=(3,))
    gaps = {case: found.left_of_right_mm for case, found in survey.items()}
    assert gaps["case_0"] == pytest.approx(60)  # 20 voxels of 3 mm
    assert gaps["case_3"] == pytest.approx(-60)
    labels, images = training_warnings(gaps, asymmetries_of(survey))
    assert labels.startswith(
        "1 of 10 training cases have their right labels on the patient's left by their headers: case_3;"
    )
    assert images == "1 of 10 training images look mirrored beside the others: case_3; check them"


def test_labels_without_sides_are_not_judged(tmp_path):
    survey = survey_of(tmp_path, content=CONTENT | {"labels": {"background": 0, "upper": 1, "lower": 2}})
    assert asymmetries_of(survey) == {}
    assert learn(asymmetries_of(survey)) == ""
    assert {found.left_of_right_mm for found in survey.values()} == {None}


def write_model_of(folder, asymmetry, **learned):
    """The small model, with all that preprocessing asks for, and what was learned; more of it by parts of the plans."""
    plans = plans_content(transpose_forward=[0, 1, 2], transpose_backward=[0, 1, 2])
    plans["image_reader_writer"] = "NibabelIOWithReorient"
    intensities = {"mean": 0.0, "std": 400.0, "percentile_00_5": -1000.0, "percentile_99_5": 400.0}
    plans["foreground_intensity_properties_per_channel"] = {"0": intensities, "1": intensities}
    configuration = plans["configurations"]["3d_impulse"]
    configuration |= {"spacing": [3.0, 3.0, 3.0], "use_mask_for_norm": [False, False]}
    for part in ("data", "seg", "probabilities"):
        configuration |= {f"resampling_fn_{part}": "no_resampling_hack", f"resampling_fn_{part}_kwargs": {}}
    configuration["impulse"]["laterality"] = {"asymmetry": asymmetry}
    configuration["impulse"] |= learned
    model = write_model(folder)
    (model / "plans.json").write_text(json.dumps(plans))
    return model


@pytest.mark.parametrize("known", [True, False])
def test_a_mirrored_image_is_named_at_prediction_and_not_turned(tmp_path, caplog, known):
    learned = learn(asymmetries_of(survey_of(tmp_path)))
    assert decode(learned) is not None
    model = write_model_of(tmp_path / "results", learned if known else "")
    predictor = ImPulSePredictor(torch.device("cpu"), progress_bar=False)
    predictor.initialize_from_trained_model_folder(str(model), (0,))
    cases = {}
    for name, turn in (("good", 1), ("turned", -1)):
        channels = (body(50)[..., ::turn], np.ones((30, 32, 40)))
        cases[name] = [
            write_nifti(tmp_path / f"{name}_000{n}.nii.gz", channel.astype(np.float32), (3.0, 3.0, 3.0))
            for n, channel in enumerate(channels)
        ]
    with caplog.at_level(logging.WARNING, "impulse_nnunet"):
        predictor.predict_cases(cases, tmp_path / "out")
    assert (tmp_path / "out" / "turned.nii.gz").is_file()
    if known:
        line = next(record.message for record in caplog.records if "mirrored" in record.message)
        assert line.startswith("turned: the image looks mirrored")
        assert prediction_summary(predictor.side_agreements) == (
            "left and right: 1 of 2 images look mirrored: turned; check their headers"
        )
        assert predictor.side_agreements["good"] == pytest.approx(-predictor.side_agreements["turned"], abs=1e-3)
    else:
        assert "mirrored" not in caplog.text
        assert prediction_summary(predictor.side_agreements) == ""

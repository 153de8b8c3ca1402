"""``prediction.json`` through files: our prediction and stock nnU-Net's leave the same findings."""

import json

import numpy as np
import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.laterality.judgement import learn
from impulse_nnunet.nnunet.predictor import ImPulSePredictor
from impulse_nnunet.nnunet.routing import route_stock_predictor
from impulse_nnunet.preprocessing.survey import asymmetries_of
from tests.laterality.bodies import body
from tests.laterality.test_cases import survey_of, write_model_of
from tests.support import write_nifti


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return write_model_of(folder / "results", learn(asymmetries_of(survey_of(folder))))


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, turn in (("good", 1), ("turned", -1)):
        for n, channel in enumerate((body(50)[..., ::turn], np.ones((30, 32, 40)))):
            write_nifti(folder / f"{name}_000{n}.nii.gz", channel.astype(np.float32), (3.0, 3.0, 3.0))
    return folder


def states(folder):
    cases = json.loads((folder / "prediction.json").read_text())["cases"]
    return {case: [entry["state"], *(found["kind"] for found in entry["findings"])] for case, entry in cases.items()}


def stock_predictor(model):
    route_stock_predictor()
    options = {"device": torch.device("cpu"), "allow_tqdm": False, "perform_everything_on_device": False}
    predictor = nnUNetPredictor(**options)
    predictor.initialize_from_trained_model_folder(str(model), (0,))
    return predictor


@pytest.mark.filterwarnings("default")  # stock loading of checkpoints
def test_ours_and_stock_prediction_note_the_same(model, images, tmp_path):
    ours = ImPulSePredictor(torch.device("cpu"), progress_bar=False)
    ours.initialize_from_trained_model_folder(str(model), (0,))
    ours.predict_folder(images, tmp_path / "ours")
    stock_predictor(model).predict_from_files(str(images), str(tmp_path / "stock"))
    assert states(tmp_path / "ours") == states(tmp_path / "stock") == {"good": ["ok"], "turned": ["warned", "mirrored"]}
    run, stock = (
        next(iter(json.loads((tmp_path / name / "prediction.json").read_text())["runs"].values()))
        for name in ("ours", "stock")
    )
    assert run["model"]["folds"] == [0]
    assert len(run["model"]["files"]["fold_0/checkpoint_final.pth"]) >= 32
    assert run["settings"]["spacing_mm"] is None
    assert (run["device"], run["versions"]) == ("cpu", stock["versions"])
    assert len(stock["model"]["weights"]) == 1
    assert stock["command"] == "nnUNetv2_predict"


@pytest.mark.filterwarnings("default")
def test_a_case_that_cannot_be_read_failed_in_both(model, images, tmp_path):
    (images / "good_0001.nii.gz").write_bytes(b"no image")
    ours = ImPulSePredictor(torch.device("cpu"), progress_bar=False)
    ours.initialize_from_trained_model_folder(str(model), (0,))
    with pytest.raises(CasesFailedError, match=r"good_0001\.nii\.gz"):
        ours.predict_folder(images, tmp_path / "ours")
    assert states(tmp_path / "ours") == {"good": ["failed"], "turned": ["warned", "mirrored"]}
    with pytest.raises(InputError, match=r"good_0001\.nii\.gz"):
        stock_predictor(model).predict_from_files(str(images), str(tmp_path / "stock"))
    assert states(tmp_path / "stock")["good"] == ["failed"]  # where stock prediction ends

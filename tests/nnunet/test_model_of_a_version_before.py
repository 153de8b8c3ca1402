"""A model that an older version trained predicts the labels that this older version predicted.

``tests/data/model_of_53b95cd`` was made by commit 53b95cd: a tiny network with a localizer, there called finder,
trained for 240 steps on the made-up chests (seed 18), the optimiser's state and the log taken out of its checkpoint.
The image is made-up too; the SHA-256 of its labels was computed by that commit's predictor, with the encoder in
float32 as here (its default is bfloat16 where the CPU has it). Of 60 images this is the one with the clearest labels:
the smallest lead of a voxel's label before the next is 0.009 in logits, far above what float32 rounds differently on
another CPU.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from impulse_nnunet.nnunet.check_model import check_model
from impulse_nnunet.nnunet.predictor import ImPulSePredictor
from impulse_nnunet.runtime.environment import ensure_variables

FOLDER = Path(__file__).resolve().parents[1] / "data" / "model_of_53b95cd"
LABELS_SHA256 = "abafeb8ecb2116be92b6f43bb59f864a8df4dcf3dee88929bc450ca14e68b293"
SPACING_MM = (8.0, 8.0, 8.0)


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_extTrainer", os.environ.get("nnUNet_extTrainer", ""))
    ensure_variables()
    return str(shutil.copytree(FOLDER, tmp_path / "model"))


def image():
    with np.load(FOLDER / "image.npz") as content:
        return content["image"].astype(np.float32)


def in_float32(predictor):
    """The encoder and the localizer's in float32 on every CPU."""
    found = [module for module in predictor.network.modules() if hasattr(module, "encoder_bfloat16")]
    assert len(found) == 2
    for module in found:
        module.encoder_bfloat16 = False
    return predictor


def sha256_of(labels):
    assert labels.shape == (24, 28, 32)
    return hashlib.sha256(np.ascontiguousarray(labels, dtype=np.uint8).tobytes()).hexdigest()


def test_our_predictor_gives_the_same_labels(model):
    predictor = ImPulSePredictor(torch.device("cpu"), progress_bar=False)
    predictor.initialize_from_trained_model_folder(model, (0,))
    labels = in_float32(predictor).predict_array(image(), SPACING_MM)
    assert set(np.unique(labels)) == set(range(6))
    assert sha256_of(labels) == LABELS_SHA256


def test_stock_prediction_gives_the_same_labels(model):
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False, perform_everything_on_device=False)
    predictor.initialize_from_trained_model_folder(model, (0,))
    labels = in_float32(predictor).predict_single_npy_array(image(), {"spacing": list(SPACING_MM)})
    assert sha256_of(labels) == LABELS_SHA256


def test_its_files_are_still_let_in(model):
    assert all(row.ok for row in check_model(Path(model), "checkpoint_final.pth"))
    plans = json.loads((FOLDER / "plans.json").read_text(encoding="utf-8"))
    architecture = plans["configurations"]["3d_impulse"]["architecture"]
    assert architecture["network_class_name"] == "impulse_nnunet.network.ImPulSeNet"

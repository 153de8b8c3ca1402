"""Every system: two steps, a death in between, resume, validation, and prediction by stock nnU-Net and by ours."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.run.run_training import get_trainer_from_args, maybe_load_checkpoint
from torch import nn

from impulse_nnunet.errors import InputError
from impulse_nnunet.nnunet.output_options import OutputOptions
from impulse_nnunet.nnunet.predictor import ImPulSePredictor
from impulse_nnunet.trainers import __all__ as all_trainers

pytestmark = pytest.mark.slow
trainers = [name for name in all_trainers if name != "nnUNetTrainerBudget"]  # stock, with plans of its own
CPU = torch.device("cpu")


class KilledError(Exception):
    """Stands for a job that dies."""


@pytest.fixture
def plans(planned, monkeypatch, tmp_path):
    """The planned data set with two epochs of one step, and a results folder of the test's own."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_extTrainer", "nnUNet_n_proc_DA"):
        monkeypatch.setenv(name, planned.environment[name])
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    path = planned.preprocessed / "ImPulSePlans.json"
    before = path.read_text()
    content = json.loads(before)
    content["configurations"]["3d_impulse"]["impulse"]["training"] |= {"iterations": 1, "validation_iterations": 1}
    path.write_text(json.dumps(content))
    yield content
    path.write_text(before)


def trainer(name, continue_training=False):
    made = get_trainer_from_args("990", "3d_impulse", 0, name, "ImPulSePlans", continue_training, device=CPU)
    made.save_every = 1
    maybe_load_checkpoint(made, continue_training, False)
    return made


def image_of(planned):
    return str(next((planned.raw / "imagesTs").glob("*_0000.nii.gz")))


def labels_in(folder):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "case.nii.gz")))


@pytest.mark.parametrize("name", trainers)
def test_it_trains_dies_resumes_predicts_and_evaluates(planned, plans, tmp_path, name):
    first = trainer(name)
    first.on_epoch_end_before = first.on_epoch_end

    def die_after_the_first_epoch():
        first.on_epoch_end_before()
        raise KilledError

    first.on_epoch_end = die_after_the_first_epoch
    with pytest.raises(KilledError):
        first.run_training()
    second = trainer(name, continue_training=True)
    assert second.current_epoch == 1
    second.run_training()
    assert second.current_epoch == 2
    second.perform_actual_validation()
    model = tmp_path / f"Dataset990_Tiny/{name}__ImPulSePlans__3d_impulse"
    summary = json.loads((model / "fold_0/validation/summary.json").read_text())
    assert 0 <= summary["foreground_mean"]["Dice"] <= 1
    assert len(summary["metric_per_case"]) == 2  # of 8 training cases in 5 folds
    has_template = name == "nnUNetTrainerImPulSe"
    assert (model / "fold_0/template.nii.gz").is_file() == has_template

    stock = nnUNetPredictor(device=CPU, perform_everything_on_device=False, allow_tqdm=False)
    stock.initialize_from_trained_model_folder(str(model), (0,))
    (tmp_path / "stock").mkdir()
    stock.predict_from_files_sequential([[image_of(planned)]], [str(tmp_path / "stock/case")])
    ours = ImPulSePredictor(CPU, progress_bar=False)
    ours.initialize_from_trained_model_folder(str(model), (0,))
    ours.predict_cases({"case": [image_of(planned)]}, tmp_path / "ours")
    assert np.array_equal(labels_in(tmp_path / "ours"), labels_in(tmp_path / "stock"))
    if not has_template:
        with pytest.raises(InputError, match=f"`displacement`: found a model of {name}, expected one that deforms"):
            ours.predict_folder(planned.raw / "imagesTs", tmp_path / "moved", OutputOptions(displacement=True))


def test_a_co_trained_template_is_trained_written_and_predicted_with(planned, plans, tmp_path):
    configuration = plans["configurations"]["3d_impulse"]
    configuration["impulse"]["template"]["mode"] = "co_trained"
    configuration["architecture"]["arch_kwargs"] |= {"template_grid": [8, 8, 8], "correction": False}
    (planned.preprocessed / "ImPulSePlans.json").write_text(json.dumps(plans))
    made = trainer("nnUNetTrainerImPulSe")
    made.initialize()
    before = made.network.decoder.template.generator.code.detach().clone()
    made.run_training()
    template = made.network.decoder.template
    assert not torch.equal(template.generator.code, before)
    fold = tmp_path / "Dataset990_Tiny/nnUNetTrainerImPulSe__ImPulSePlans__3d_impulse/fold_0"
    assert (fold / "template.nii.gz").is_file()
    (log,) = fold.glob("training_log*.txt")
    assert "Template (co_trained) alone reaches a Dice of" in log.read_text()
    predictor = ImPulSePredictor(CPU, progress_bar=False)
    predictor.initialize_from_trained_model_folder(str(fold.parent), (0,))
    assert torch.equal(predictor.network.decoder.template.logits, template.logits)
    predictor.predict_cases({"case": [image_of(planned)]}, tmp_path / "labels")
    assert labels_in(tmp_path / "labels").max() <= 5


def test_the_encoder_of_a_stock_nnunet_is_the_start_and_the_log_says_so(planned, plans, tmp_path):
    kwargs = plans["configurations"]["3d_impulse"]["architecture"]["arch_kwargs"]
    kwargs["encoder"] = "unet_encoder"
    (planned.preprocessed / "ImPulSePlans.json").write_text(json.dumps(plans))
    stages = len(kwargs["strides"])
    donor = PlainConvUNet(
        1,
        stages,
        kwargs["features_per_stage"],
        nn.Conv3d,
        3,
        kwargs["strides"],
        kwargs["blocks_per_stage"],
        6,
        2,
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
    )
    file = tmp_path / "stock.pth"  # as nnU-Net stores it: weights, numpy scalars in the log, a device
    logging = {"ema_fg_dice": [np.float64(0.5)], "train_losses": [np.float32(1)]}
    torch.save({"network_weights": donor.state_dict(), "logging": logging, "init_args": {"device": CPU}}, file)
    made = get_trainer_from_args("990", "3d_impulse", 0, "nnUNetTrainerImPulSe", "ImPulSePlans", device=CPU)
    maybe_load_checkpoint(made, False, False, str(file))
    for found, expected in zip(made.network.encoder.parameters(), donor.encoder.parameters(), strict=True):
        assert torch.equal(found, expected)
    made.on_train_start()
    (log,) = (tmp_path / "Dataset990_Tiny/nnUNetTrainerImPulSe__ImPulSePlans__3d_impulse/fold_0").glob("*log*.txt")
    layers = len({id(parameter) for parameter in donor.encoder.parameters()})
    assert f"Pretrained weights from {file}: {layers} of {layers} tensors of the encoder" in log.read_text()
    for loader in (made.dataloader_train, made.dataloader_val):
        loader.close()

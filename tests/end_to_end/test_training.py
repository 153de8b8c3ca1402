"""Training in this process: resume, refusals, ignore label, stock-preprocessed data."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from nnunetv2.run.run_training import maybe_load_checkpoint

from impulse_nnunet.errors import InputError
from impulse_nnunet.trainers import nnUNetTrainerImPulSe
from impulse_nnunet.training.template_fit import TemplateFit
from tests.training_runs import ARGUMENTS, trainer, write_plans

pytestmark = pytest.mark.slow


class KilledError(Exception):
    """Stands for a job that dies."""


def make_everything_random(plans):
    """Dropout and deformed boxes, whose random numbers have to go on; self-attention, and a running mean of weights."""
    configuration = plans["configurations"]["3d_impulse"]
    configuration["architecture"]["arch_kwargs"] |= {"head_dropout": 0.3, "context_blocks": 1}
    configuration["impulse"]["augmentation"] |= {"deformation": 0.08, "axis_scale": 0.1}
    configuration["impulse"]["training"]["averaging"] = 0.9


def test_resume_gives_the_weights_of_an_uninterrupted_run(folders, plans, monkeypatch, tmp_path):
    make_everything_random(plans)
    write_plans(folders, plans)
    whole = trainer()
    whole.run_training()
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "interrupted"))
    first = trainer(save_every=1)
    steps = iter(range(100))

    def step_until_killed(batch):
        if next(steps) == 9:  # in the second of two epochs of six steps
            raise KilledError
        return nnUNetTrainerImPulSe.train_step(first, batch)

    first.train_step = step_until_killed
    with pytest.raises(KilledError):
        first.run_training()
    second = trainer(continue_training=True)
    assert second.current_epoch == 1
    second.run_training()
    assert_same_weights(second, whole)


def assert_same_weights(found, wanted):
    pairs = zip(wanted.network.state_dict().items(), found.network.state_dict().values(), strict=True)
    for (name, expected), weights in pairs:
        torch.testing.assert_close(weights, expected, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize(
    ("hook", "call", "epoch", "left"),
    # two epochs of 6 training and 2 validation steps; checkpoints of their own come only every 5 epochs
    [("train_step", 1, 0, 6), ("train_step", 9, 1, 4), ("validation_step", 2, 0, 0), ("validation_step", 3, 1, 0)],
    ids=["first step", "amid second epoch", "end of first epoch", "end of second epoch"],
)
def test_sigterm_loses_not_a_step(folders, plans, monkeypatch, tmp_path, hook, call, epoch, left):
    make_everything_random(plans)
    write_plans(folders, plans)
    whole = trainer()
    whole.run_training()
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "interrupted"))
    first = trainer()
    calls = iter(range(1, 100))

    def step_until_told_to_stop(batch):
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return getattr(nnUNetTrainerImPulSe, hook)(first, batch)

    setattr(first, hook, step_until_told_to_stop)
    with pytest.raises(SystemExit) as end:
        first.run_training()
    assert end.value.code == 143  # 128 + SIGTERM, what schedulers expect
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    second = trainer(continue_training=True)
    assert second.current_epoch == epoch
    second.on_epoch_start_before, done = second.on_epoch_start, []
    second.on_epoch_start = lambda: (second.on_epoch_start_before(), done.append(second.num_iterations_per_epoch))
    second.run_training()
    assert done == [left, 6][: 2 - epoch]
    assert_same_weights(second, whole)
    assert second.logger.get_value("train_losses", step=None) == whole.logger.get_value("train_losses", step=None)
    assert not list((tmp_path / "interrupted").rglob("checkpoint_partial_epoch.pth"))


def test_sigterm_in_the_templates_training(folders, plans, monkeypatch, tmp_path):
    plans["configurations"]["3d_impulse"]["impulse"]["template"] |= {"mode": "learned", "iterations": 6}
    plans["configurations"]["3d_impulse"]["architecture"]["arch_kwargs"]["template_grid"] = [8, 8, 8]
    write_plans(folders, plans)
    whole = trainer()
    whole.on_train_start()
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "interrupted"))
    original = TemplateFit._step

    def step_and_stop(self, generator, optimiser, step, progress):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, generator, optimiser, step, progress)

    monkeypatch.setattr(TemplateFit, "_step", step_and_stop)
    with pytest.raises(SystemExit):
        trainer().run_training()
    steps = []

    def count(self, generator, optimiser, step, progress):
        steps.append(step)
        return original(self, generator, optimiser, step, progress)

    monkeypatch.setattr(TemplateFit, "_step", count)
    second = trainer(continue_training=True)
    second.on_train_start()
    assert steps == [3, 4, 5]
    wanted = whole.network.decoder.template.logits
    torch.testing.assert_close(second.network.decoder.template.logits, wanted, rtol=0, atol=0)


def test_learned_template_is_resumed_too(folders, plans, monkeypatch, tmp_path):
    plans["configurations"]["3d_impulse"]["impulse"]["template"] |= {"mode": "learned", "iterations": 6}
    plans["configurations"]["3d_impulse"]["architecture"]["arch_kwargs"]["template_grid"] = [8, 8, 8]
    write_plans(folders, plans)
    whole = trainer()
    whole.on_train_start()
    folder = tmp_path / "Dataset990_Tiny/nnUNetTrainerImPulSe__ImPulSePlans__3d_impulse/fold_0"
    assert (folder / "template_progress.png").stat().st_size > 0
    assert (folder / "template.nii.gz").stat().st_size > 0
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "interrupted"))
    monkeypatch.setattr("impulse_nnunet.training.template_fit.CHECKPOINT_SECONDS", 0.0)
    first = trainer()
    original = TemplateFit._step

    def step_until_killed(self, generator, optimiser, step, progress):
        if step == 4:
            raise KilledError
        return original(self, generator, optimiser, step, progress)

    monkeypatch.setattr(TemplateFit, "_step", step_until_killed)
    with pytest.raises(KilledError):
        first.on_train_start()
    monkeypatch.setattr(TemplateFit, "_step", original)
    second = trainer(continue_training=True)
    second.on_train_start()
    assert (tmp_path / "interrupted" / folder.relative_to(tmp_path) / "template_checkpoint.pth").is_file()
    wanted = whole.network.decoder.template.logits
    torch.testing.assert_close(second.network.decoder.template.logits, wanted, rtol=0, atol=0)
    second.on_train_start = lambda: None  # done above
    second.num_epochs = 1
    second.run_training()
    assert not list((tmp_path / "interrupted").rglob("template_checkpoint.pth"))


def test_a_localizer_changes_no_weight_of_the_network(folders, plans, monkeypatch, tmp_path):
    assert plans["configurations"]["3d_impulse"]["impulse"]["region"]["search_grid"]
    both = trainer()
    both.run_training()
    plans["configurations"]["3d_impulse"]["impulse"]["region"]["search_grid"] = []
    write_plans(folders, plans)
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "alone"))
    alone = trainer()
    alone.run_training()
    assert alone.network.localizer is None
    weights = both.network.state_dict()
    assert any(name.startswith("localizer.") for name in weights)
    for name, value in alone.network.state_dict().items():
        assert torch.equal(weights[name], value), name


def test_weights_that_are_no_numbers_end_the_training_and_reach_no_checkpoint(folders, plans):
    plans["configurations"]["3d_impulse"]["impulse"]["training"]["learning_rate"] = 1e30
    write_plans(folders, plans)
    run = trainer()
    with pytest.raises(InputError, match=r"epoch 0: found NaN or infinite weights in \S+, expected finite numbers"):
        run.run_training()
    assert not list(Path(run.output_folder).glob("checkpoint_*"))


def test_plans_of_another_planner_are_refused_in_one_line(folders, plans):
    del plans["configurations"]["3d_impulse"]["impulse"]
    write_plans(folders, plans)
    with pytest.raises(InputError, match="without 'impulse', expected 3d_impulse of ImPulSePlans"):
        trainer()
    finished = folders.run(
        "nnUNetv2_train",
        *[str(a) for a in ARGUMENTS[:3]],
        "-tr",
        ARGUMENTS[3],
        "-p",
        ARGUMENTS[4],
        "-device",
        "cpu",
        expect=2,
    )
    assert "impulse_nnunet: plans: found a configuration without 'impulse'" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_unknown_setting_is_refused(folders, plans):
    plans["configurations"]["3d_impulse"]["impulse"]["training"]["epoch"] = 5
    write_plans(folders, plans)
    with pytest.raises(InputError, match="the unknown setting 'epoch', expected one of epochs"):
        trainer()


def test_cascades_and_regions_are_refused(folders, plans, monkeypatch):
    plans["configurations"]["3d_impulse"]["previous_stage"] = "3d_lowres"
    write_plans(folders, plans)
    with pytest.raises(NotImplementedError, match="cascades are not supported"):
        trainer()
    del plans["configurations"]["3d_impulse"]["previous_stage"]
    dataset_json = json.loads((folders.preprocessed / "dataset.json").read_text())
    dataset_json["labels"] = {"background": 0, "lungs": [1, 2, 3, 4, 5], "left": [4, 5]}
    with pytest.raises(NotImplementedError, match="region-based labels are not supported"):
        nnUNetTrainerImPulSe(plans | {"continue_training": False}, "3d_impulse", 0, dataset_json, torch.device("cpu"))


def test_checkpoint_of_another_network_is_refused(folders, plans):
    trained = trainer()
    trained.initialize()
    trained.save_checkpoint(str(folders.base / "checkpoint_other.pth"))
    plans["configurations"]["3d_impulse"]["architecture"]["arch_kwargs"]["head_features"] = 32
    write_plans(folders, plans)
    other = trainer()
    with pytest.raises(InputError, match="found a checkpoint of another network, expected one of these plans"):
        other.load_checkpoint(str(folders.base / "checkpoint_other.pth"))


def test_stock_preprocessed_data_train_too(folders, plans):
    plans["configurations"]["3d_impulse"]["data_identifier"] = "stock"
    write_plans(folders, plans)
    folders.run("nnUNetv2_preprocess", "-d", "990", "-plans_name", "ImPulSePlans", "-c", "3d_impulse", "-np", "1")
    assert (folders.preprocessed / "stock").is_dir()
    stock = trainer(num_epochs=1)
    stock.run_training()
    stock.perform_actual_validation()
    assert stock.current_epoch == 1


def test_pretrained_weights_are_the_start_and_the_template_is_made_anew(folders, plans, tmp_path):
    donor = trainer()
    donor.initialize()
    with torch.no_grad():
        for weight in donor.network.parameters():
            weight.add_(0.1)
        donor.network.decoder.template.logits.fill_(7)
    file = tmp_path / "donor.pth"
    donor.save_checkpoint(str(file))
    started = trainer()
    maybe_load_checkpoint(started, False, False, str(file))
    for wanted, found in zip(donor.network.parameters(), started.network.parameters(), strict=True):
        assert torch.equal(wanted, found)
    started.num_epochs = 1
    started.run_training()
    assert started.current_epoch == 1
    assert not torch.any(started.network.decoder.template.logits == 7)

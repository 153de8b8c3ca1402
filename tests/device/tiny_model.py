"""A tiny data set, planned, preprocessed and trained in this process: the device tests run no commands."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from nnunetv2.run.run_training import get_trainer_from_args, maybe_load_checkpoint

from impulse_nnunet.nnunet import validation
from impulse_nnunet.nnunet.planning import plan_dataset, preprocess_dataset
from impulse_nnunet.phantom.simple_chest import make_case, write_dataset
from impulse_nnunet.runtime.environment import needed_variables
from impulse_nnunet.trainers import nnUNetTrainerImPulSe

DEVICE = torch.device(os.environ.get("IMPULSE_TEST_DEVICE", "cuda"))  # cpu: a rehearsal of the same code
ON_GPU = DEVICE.type == "cuda"
MARKS = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(ON_GPU and not torch.cuda.is_available(), reason="there is no GPU"),
    pytest.mark.filterwarnings("default"),  # drivers and libraries of the day may have something to say
]
NAMES = ("990", "3d_impulse", 0, "nnUNetTrainerImPulSe", "ImPulSePlans")
FOLDER = "Dataset990_Tiny/nnUNetTrainerImPulSe__ImPulSePlans__3d_impulse"
SIZE, SPACING_MM, CASES = (24, 28, 32), 8.0, 5
EPOCHS, STEPS = 3, 8
STOPPED_AT = 11  # step, from 1: within the second epoch
SETTINGS = {
    "impulse.training.epochs": EPOCHS,
    "impulse.training.iterations": STEPS,
    "impulse.training.validation_iterations": 2,
    "impulse.sampling.points": 512,
    "impulse.region.mode": "two_pass",
    "impulse.region.search_grid": [12, 16, 16],
    "architecture.arch_kwargs.features_per_stage": [8, 16, 16, 32],
}


@dataclass(frozen=True)
class TinyModel:
    """What a training left.

    Args:
        folder: Of the model.
        exit_code: Of the training that SIGTERM ended.
        epoch: In which the second training began.
        steps: Of each of its epochs.
        losses: Of each epoch.
    """

    folder: Path
    exit_code: int
    epoch: int
    steps: list[int]
    losses: list[float]


@contextmanager
def tiny_data(base: Path) -> Iterator[Path]:
    """nnU-Net's folders with the data set, named in the environment as long as the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            patch.setenv(name, str(base / name))
        patch.setenv("nnUNet_extTrainer", needed_variables({}, base)["nnUNet_extTrainer"])
        patch.setenv("nnUNet_n_proc_DA", "1")
        patch.setattr(validation, "default_num_processes", 1)
        write_dataset(base / "nnUNet_raw" / "Dataset990_Tiny", CASES, 1, SIZE, SPACING_MM)
        plan_dataset(990, overrides=SETTINGS, workers=1, progress_bar=False)
        preprocess_dataset(990, workers=2, progress_bar=False)
        yield base


def trainer_on(device: torch.device, continue_training: bool = False) -> nnUNetTrainerImPulSe:
    """A trainer of the data set."""
    made = get_trainer_from_args(*NAMES, continue_training=continue_training, device=device)
    maybe_load_checkpoint(made, continue_training, False)
    return made


def train_with_an_interruption(base: Path, device: torch.device) -> TinyModel:
    """Train, end by SIGTERM, go on to the end and validate."""
    first = trainer_on(device)
    calls = iter(range(1, 100))

    def step_until_told_to_stop(batch):
        if next(calls) == STOPPED_AT:
            os.kill(os.getpid(), signal.SIGTERM)
        return nnUNetTrainerImPulSe.train_step(first, batch)

    first.train_step = step_until_told_to_stop
    with pytest.raises(SystemExit) as end:
        first.run_training()
    second = trainer_on(device, continue_training=True)
    epoch, steps, start = second.current_epoch, [], second.on_epoch_start

    def counted():
        start()
        steps.append(second.num_iterations_per_epoch)

    second.on_epoch_start = counted
    second.run_training()
    second.perform_actual_validation()
    losses = [float(loss) for loss in second.logger.get_value("train_losses", step=None)]
    return TinyModel(base / "nnUNet_results" / FOLDER, end.value.code, epoch, steps, losses)


def unseen_image():
    """An image (1, d, h, w) that no training has seen."""
    return make_case(CASES + 7, SIZE).image[None]


def say(capsys, text):
    """Into the output of the tests, for the record."""
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")

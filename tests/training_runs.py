"""Trainings of the tiny data set in this process."""

import json

import torch
from nnunetv2.run.run_training import get_trainer_from_args, maybe_load_checkpoint

ARGUMENTS = ("990", "3d_impulse", 0, "nnUNetTrainerImPulSe", "ImPulSePlans")


def trainer(continue_training=False, **settings):
    made = get_trainer_from_args(*ARGUMENTS, continue_training=continue_training, device=torch.device("cpu"))
    for name, value in settings.items():
        setattr(made, name, value)
    maybe_load_checkpoint(made, continue_training, False)
    return made


def write_plans(folders, plans):
    (folders.preprocessed / "ImPulSePlans.json").write_text(json.dumps(plans))

"""Stock nnU-Net under a wall-clock limit, for docs/results.md: ``nnUNet_extTrainer`` names this folder.

Nothing but the schedule differs from ``nnUNetTrainer``: the poly learning rate runs over ``MINUTES`` (60) of training
instead of 1000 epochs, and epochs are shorter, so that the limit is met.
"""

import os
from time import time
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class _TimeUpError(Exception):
    """Ends the parent's loop."""


class nnUNetTrainerSixtyMinutes(nnUNetTrainer):
    """Stock trainer, 25 training and 3 validation steps an epoch, ended by the clock."""

    def __init__(
        self, plans: dict, configuration: str, fold: int, dataset_json: dict, device: torch.device
    ) -> None:  # nnU-Net reads these names
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.seconds = 60 * float(os.environ.get("MINUTES", "60"))
        self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 25, 3
        self.save_every = 10**6
        self.first_step: float | None = None

    def _left(self) -> float:
        """Share of the time that is left."""
        return 1.0 if self.first_step is None else max(0.0, 1 - (time() - self.first_step) / self.seconds)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """As the parent's, at the learning rate of this moment."""
        self.first_step = self.first_step or time()
        for group in self.optimizer.param_groups:
            group["lr"] = self.initial_lr * self._left() ** 0.9
        return super().train_step(batch)

    def on_epoch_start(self) -> None:
        """As the parent's, until the time is up."""
        if self._left() == 0:
            raise _TimeUpError
        super().on_epoch_start()

    def run_training(self) -> None:
        """The parent's loop, ended early."""
        try:
            super().run_training()
        except _TimeUpError:
            self.on_train_end()

"""Stock nnU-Net under a budget: nothing but the schedule differs from ``nnUNetTrainer``.

The configuration of nnU-Net's own plans carries an entry ``budget`` (see :class:`BudgetEntry`), which
``impulse_nnunet table`` writes: the poly learning rate runs over that many steps, or minutes, instead of 1000 epochs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from impulse_nnunet.errors import InputError
from impulse_nnunet.runtime.devices import check_device
from impulse_nnunet.runtime.threads import limit_cpu_threads
from impulse_nnunet.settings import from_json
from impulse_nnunet.trainers.early_end import TimeUpError, finish
from impulse_nnunet.trainers.model_folder import check_split
from impulse_nnunet.trainers.pace import Pace, Schedule

POLY_POWER = 0.9  # nnU-Net's
SAVE_EVERY_EPOCHS = 5
STEPS_KEY = "steps"  # in the optimiser's groups, which checkpoints hold: steps that were taken
SECONDS_KEY = "seconds"  # there too: how much of a budget of minutes is used up
ENDLESS = 10**6  # epochs, where the clock ends a training


@dataclass(frozen=True, kw_only=True)
class BudgetEntry:
    """The entry ``budget`` of a configuration.

    Args:
        epochs: Number of epochs; 0 where ``minutes`` limit the training.
        iterations: Steps of an epoch.
        validation_iterations: Batches of an epoch's validation.
        minutes: Wall-clock limit, not counting each process's first steps, in which it compiles; 0 where ``epochs`` do.
        seed: Seed of the weights.
        mirroring: nnU-Net's mirroring in training and prediction; off where left and right are different labels.
    """

    epochs: int
    iterations: int
    validation_iterations: int
    minutes: float
    seed: int
    mirroring: bool

    def pace(self) -> Pace:
        """A clock, which stands."""
        schedule = Schedule(
            epochs=self.epochs or ENDLESS,
            iterations=self.iterations,
            validation_iterations=self.validation_iterations,
        )
        return Pace(self.minutes, schedule)


class nnUNetTrainerBudget(nnUNetTrainer):
    """The stock trainer, ended by steps or by the clock.

    Args:
        plans: Content of the plans file.
        configuration: One with an entry ``budget``.
        fold: Fold of the cross-validation, or "all".
        dataset_json: Content of dataset.json.
        device: Where to train.
    """

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008  the parent's signature
    ) -> None:
        entry = plans["configurations"].get(configuration, {}).get("budget")
        if entry is None:
            raise InputError(
                f"configuration {configuration}",
                "no entry 'budget'",
                "one that impulse_nnunet table wrote",
                "train with nnUNetTrainer, or let impulse_nnunet table train",
            )
        check_device(device)
        super().__init__(plans, configuration, fold, dataset_json, device)
        limit_cpu_threads(self.device)
        self.budget = from_json(BudgetEntry, entry, "budget")
        if self.is_ddp and self.budget.minutes:
            raise NotImplementedError("a budget of minutes is not supported on several GPUs: their clocks differ")
        self.num_epochs = self.budget.epochs or ENDLESS
        self.num_iterations_per_epoch = self.budget.iterations
        self.num_val_iterations_per_epoch = self.budget.validation_iterations
        self.save_every = SAVE_EVERY_EPOCHS
        self.steps_done = 0
        self.epoch_outputs: list[dict] = []  # of the epoch's steps so far
        self.pace = self.budget.pace()
        self.validated = False

    def initialize(self) -> None:
        """Overrides nnU-Net's: with seeded weights."""
        torch.manual_seed(self.budget.seed)
        super().initialize()

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:  # noqa: N802  the parent's name
        """Overrides nnU-Net's: without mirroring where the budget says so."""
        rotation, dummy_2d, patch_size, axes = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        if not self.budget.mirroring:
            self.inference_allowed_mirroring_axes = axes = None
        return rotation, dummy_2d, patch_size, axes

    def do_split(self) -> tuple[list[str], list[str]]:
        """Overrides nnU-Net's: by a split that was checked."""
        check_split(self)
        return super().do_split()

    def on_train_start(self) -> None:
        """Overrides nnU-Net's: steps and time of before an interruption count."""
        super().on_train_start()
        group = self.optimizer.param_groups[0]
        self.steps_done, self.pace.before_s = group.get(STEPS_KEY, 0), group.get(SECONDS_KEY, 0.0)
        self.pace.started, self.validated = None, False

    def left(self) -> float:
        """Share of the budget that is left, 0 to 1."""
        steps = self.num_epochs * self.budget.iterations
        return 1 - self.pace.progress(0.0 if self.budget.minutes else self.steps_done / steps)

    def train_step(self, batch: dict) -> dict:
        """Overrides nnU-Net's: at the learning rate of this moment, if there is time for it.

        The clock starts when a process's first step is done: with torch.compile it takes minutes.
        """
        if self.epoch_outputs and self.pace.is_over:
            raise TimeUpError(within_epoch=True)
        left = self.left()
        self.steps_done += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.initial_lr * left**POLY_POWER
            group[STEPS_KEY] = self.steps_done
        self.epoch_outputs.append(super().train_step(batch))
        if self.pace.started is None:
            self.pace.start()
            self.pace.begin()
        else:
            self._note_pace()
        return self.epoch_outputs[-1]

    def _note_pace(self) -> None:
        self.pace.step_made()
        line = self.pace.line(self.current_epoch, len(self.epoch_outputs))
        if line is not None:
            self.print_to_log_file(line)

    def on_train_epoch_end(self, train_outputs: list[dict]) -> None:
        """Overrides nnU-Net's: the validation's time is taken from here on."""
        super().on_train_epoch_end(train_outputs)
        self.pace.begin()

    def validation_step(self, batch: dict) -> dict:
        """Overrides nnU-Net's: the first does not count, for it compiles too."""
        before = self.pace.now()
        output = super().validation_step(batch)
        if not self.validated:
            self.pace.leave_out(self.pace.now() - before)
        self.validated = True
        return output

    def on_epoch_end(self) -> None:
        """Overrides nnU-Net's: the checkpoint knows how much of the budget is used up."""
        for group in self.optimizer.param_groups:
            group[SECONDS_KEY] = self.pace.seconds
        super().on_epoch_end()

    def on_epoch_start(self) -> None:
        """Overrides nnU-Net's: until the time is up."""
        if self.current_epoch > 0 and self.pace.is_over:
            raise TimeUpError(within_epoch=False)
        super().on_epoch_start()
        self.epoch_outputs = []
        self.pace.begin()

    def run_training(self) -> None:
        """The parent's loop, ended early by the clock."""
        try:
            super().run_training()
        except TimeUpError as error:
            finish(self, error, self.pace, self.epoch_outputs)

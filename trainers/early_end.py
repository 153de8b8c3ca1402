"""The end of an epoch whose time was up before its steps were made."""

from __future__ import annotations

from typing import Any

import torch

from impulse_nnunet.trainers.pace import Pace


class TimeUpError(Exception):
    """The wall-clock limit of the plans is reached; ends nnU-Net's loop.

    Args:
        within_epoch: Whether an epoch has begun, with a step or more behind it.
    """

    def __init__(self, within_epoch: bool) -> None:
        self.within_epoch = within_epoch
        super().__init__(within_epoch)


def finish(trainer: Any, error: TimeUpError, pace: Pace, outputs: list[dict[str, Any]]) -> None:
    """Do what nnU-Net's loop would have done after the epoch's last step, and end the training.

    The epoch's validation stops when the minutes are over, after one batch at the earliest.

    Args:
        trainer: One of nnU-Net's, or of ours.
        error: What ended the loop.
        pace: The trainer's.
        outputs: Of the epoch's steps.
    """
    if error.within_epoch:
        trainer.print_to_log_file(f"The time is up after {len(outputs)} step(s) of this epoch")
        trainer.on_train_epoch_end(outputs)
        with torch.no_grad():
            trainer.on_validation_epoch_start()
            found: list[dict[str, Any]] = []
            while not found or (len(found) < trainer.num_val_iterations_per_epoch and not pace.is_past):
                found.append(trainer.validation_step(next(trainer.dataloader_val)))
            trainer.on_validation_epoch_end(found)
        trainer.on_epoch_end()
    trainer.on_train_end()

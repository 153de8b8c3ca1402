"""One step of a training, and what an epoch of steps must have come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from impulse_nnunet.trainers.checks import check_losses, check_steps, check_weights
from impulse_nnunet.trainers.outputs import losses_of
from impulse_nnunet.training.optimiser import steps_of

if TYPE_CHECKING:
    from impulse_nnunet.trainers.impulse import nnUNetTrainerImPulSe

GRADIENT_NORM = 12.0  # nnU-Net's


def descend(trainer: nnUNetTrainerImPulSe, loss: torch.Tensor) -> None:
    """Move the weights by a loss; the gradients of the network and of its localizer are clipped separately."""
    scaler, optimiser, network = trainer.grad_scaler, trainer.optimizer, trainer.bare_network()
    if scaler is None:
        loss.backward()
    else:
        scaler.scale(loss).backward()
        scaler.unscale_(optimiser)
    for part in (network.encoder, network.context, network.decoder), (network.localizer,):
        trained = [parameter for module in part if module is not None for parameter in module.parameters()]
        torch.nn.utils.clip_grad_norm_(trained, GRADIENT_NORM)
    if scaler is None:
        optimiser.step()
    else:
        scaler.step(optimiser)
        scaler.update()


def check_epoch(trainer: nnUNetTrainerImPulSe) -> None:
    """Refuse an epoch that overflowed or ruined the weights, before they reach a checkpoint; all ranks must call.

    Raises:
        InputError: See :mod:`impulse_nnunet.trainers.checks`.
    """
    epoch = trainer.current_epoch
    check_weights(trainer.bare_network(), epoch)  # the same on all ranks: either all end here or none
    check_losses(losses_of(trainer.epoch_outputs), epoch)
    if trainer.grad_scaler is not None:
        check_steps(steps_of(trainer.optimizer) - trainer.steps_before, trainer.num_iterations_per_epoch, epoch)

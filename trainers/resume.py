"""Checkpoints of a training: written whole, read without running code, and taken over on another kind of device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import whole_file
from impulse_nnunet.trainers.interruption import PartialEpoch
from impulse_nnunet.trainers.outputs import losses_of
from impulse_nnunet.trainers.ranks import from_all_ranks, wait_for_all_ranks
from impulse_nnunet.training.optimiser import load_optimiser, steps_of

if TYPE_CHECKING:
    from impulse_nnunet.trainers.impulse import nnUNetTrainerImPulSe


@contextmanager
def whole_checkpoint(filename: str) -> Iterator[Path]:
    """Where to write a checkpoint; the file appears only when it is whole.

    Raises:
        InputError: It could not be written.
    """
    try:
        with whole_file(filename) as path:
            yield path
    except InputError as error:
        raise InputError(
            filename,
            error.found,
            "room for the checkpoint",
            "free disk space and go on with `continue_training`; the checkpoint before it is whole",
        ) from error


def keep_partial_epoch(trainer: nnUNetTrainerImPulSe) -> None:
    """Save the state between two steps of an epoch; all ranks must call."""
    ranks = from_all_ranks((losses_of(trainer.epoch_outputs), *random_states(trainer.device)))
    if trainer.local_rank == 0 and not trainer.disable_checkpointing:
        folder = Path(trainer.output_folder)
        losses, states, device_states = zip(*ranks, strict=True)
        PartialEpoch(
            epoch=trainer.current_epoch,
            optimiser_steps=steps_of(trainer.optimizer),
            losses=losses,
            random_states=states,
            device_states=device_states,
            seconds=trainer.pace.seconds,
        ).save(folder)
        trainer.current_epoch -= 1  # the parent stores the next epoch's number; this one is not over
        trainer.save_checkpoint(str(folder / "checkpoint_latest.pth"))
        trainer.current_epoch += 1
    wait_for_all_ranks()  # the first that ends makes nnU-Net stop the others


def take_over(trainer: nnUNetTrainerImPulSe, checkpoint: dict[str, Any], name: str) -> None:
    """Set what ``save_checkpoint`` saved, and how far an interrupted epoch had come.

    Args:
        trainer: Initialised.
        checkpoint: Content, on the CPU.
        name: Name of the file, for messages.

    Raises:
        InputError: It is of another network.
    """
    try:
        trainer.bare_network().load_state_dict(checkpoint["network_weights"])
        load_optimiser(trainer.optimizer, checkpoint["optimizer_state"])
        if trainer.grad_scaler is not None and checkpoint["grad_scaler_state"]:
            trainer.grad_scaler.load_state_dict(checkpoint["grad_scaler_state"])
        trainer.my_init_kwargs, trainer.current_epoch = checkpoint["init_args"], checkpoint["current_epoch"]
        trainer.logger.load_checkpoint(checkpoint["logging"])
        trainer._best_ema = checkpoint["_best_ema"]
    except (RuntimeError, KeyError, ValueError) as error:
        raise InputError(
            name[:200],
            "a checkpoint of another network",
            "one of these plans",
            "use the plans it was trained with, or train from the start without `continue_training`",
        ) from error
    trainer.partial_epoch = PartialEpoch.load(
        Path(trainer.output_folder), trainer.current_epoch, steps_of(trainer.optimizer)
    )


def start_within_epoch(trainer: nnUNetTrainerImPulSe) -> None:
    """Begin the epoch's steps: with the first, or where SIGTERM or Ctrl-C ended the training before."""
    partial = trainer.partial_epoch
    done = partial.outputs(trainer.local_rank) if partial is not None else []
    if partial is not None:
        set_random_states(partial, trainer.local_rank, trainer.device)
        trainer.print_to_log_file(f"Epoch {trainer.current_epoch} goes on at step {len(done)}")
    trainer.partial_epoch, trainer.epoch_outputs = None, done
    iterations = trainer.settings.training.iterations
    trainer.num_iterations_per_epoch = iterations - len(done)
    trainer.steps_before = steps_of(trainer.optimizer)
    trainer.dataloader_train.seek(trainer.current_epoch * iterations + len(done))


def random_states(device: torch.device) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Where torch's random numbers stand: on the CPU and, for dropout there, on a CUDA device."""
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def set_random_states(partial: PartialEpoch, rank: int, device: torch.device) -> None:
    """Go on with the random numbers of an interrupted epoch.

    What another kind of device, or a version before, did not keep stays as the epoch's seed made it.
    """
    torch.set_rng_state(partial.random_state(rank))
    on_device = partial.device_state(rank)
    if device.type == "cuda" and on_device is not None:
        torch.cuda.set_rng_state(on_device, device)

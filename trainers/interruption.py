"""SIGTERM or Ctrl-C in the middle of a training: the state is kept, and ``--c`` goes on from that very step.

Schedulers send SIGTERM before they kill a job. The signal is only noted (a second Ctrl-C ends at once); the trainer
asks between two steps, writes ``checkpoint_latest.pth`` as nnU-Net does and, beside it, what nnU-Net's checkpoints do
not hold: how far the epoch had come. A resumed training ends with the same weights as one that was never disturbed, bit
for bit on the CPU. On CUDA it gets the same batches and random numbers, but sums there, of interpolation's gradients
among others, have no fixed order.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from impulse_nnunet.io.files import whole_file

PARTIAL_EPOCH = "checkpoint_partial_epoch.pth"
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """Whether SIGTERM or Ctrl-C came; listens only in the main thread, where Python delivers signals.

    Args:
        several: One of several processes: torch tells them by SIGINT that the one that started them is gone.
    """

    def __init__(self, several: bool = False) -> None:
        self.asked, self.several = False, several
        self.number: int = signal.SIGTERM  # of the signal; between ranks each counts as SIGTERM

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note the signals in place of dying from them, as long as the block runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = [(number, signal.signal(number, self._note)) for number in SIGNALS]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def _note(self, number: int, frame: Any) -> None:
        if self.asked and number == signal.SIGINT and not self.several:
            raise KeyboardInterrupt
        self.asked, self.number = True, signal.SIGTERM if self.several else number


@dataclass(frozen=True, kw_only=True)
class PartialEpoch:
    """How far an epoch had come.

    Args:
        epoch: Its number.
        optimiser_steps: Steps of the whole training so far; both tell which checkpoint this belongs to.
        losses: For each rank, training losses of the epoch's steps so far.
        random_states: For each rank, torch's on the CPU, for dropout.
        device_states: For each rank, torch's on its CUDA device, if it had one; files of earlier versions lack them.
        seconds: That the training has taken so far; 0 in files of earlier versions.
    """

    epoch: int
    optimiser_steps: int
    losses: Sequence[Sequence[float]]
    random_states: Sequence[torch.Tensor]
    device_states: Sequence[torch.Tensor | None] = (None,)
    seconds: float = 0.0

    def outputs(self, rank: int) -> list[dict[str, np.ndarray]]:
        """A rank's losses as nnU-Net's ``train_step`` returns them; with more ranks than before they share."""
        return [{"loss": np.asarray(loss, np.float32)} for loss in self.losses[rank % len(self.losses)]]

    def random_state(self, rank: int) -> torch.Tensor:
        """A rank's."""
        return self.random_states[rank % len(self.random_states)]

    def device_state(self, rank: int) -> torch.Tensor | None:
        """A rank's on CUDA."""
        return self.device_states[rank % len(self.device_states)]

    def save(self, folder: Path) -> None:
        """Write it; the file appears only when it is whole."""
        content = {
            "epoch": self.epoch,
            "optimiser_steps": self.optimiser_steps,
            "losses": [list(losses) for losses in self.losses],
            "random_states": list(self.random_states),
            "device_states": list(self.device_states),
            "seconds": self.seconds,
        }
        with whole_file(folder / PARTIAL_EPOCH) as path:
            torch.save(content, path)

    @classmethod
    def load(cls, folder: Path, epoch: int, optimiser_steps: int) -> PartialEpoch | None:
        """That of a checkpoint in this epoch with so many steps behind it, if there is one."""
        path = folder / PARTIAL_EPOCH
        if not path.is_file():
            return None
        content = torch.load(path, map_location="cpu", weights_only=True)
        if (content["epoch"], content["optimiser_steps"]) != (epoch, optimiser_steps):
            return None
        device_states = content.get("device_states", (None,))
        return cls(
            epoch=epoch,
            optimiser_steps=optimiser_steps,
            losses=content["losses"],
            random_states=content["random_states"],
            device_states=device_states,
            seconds=content.get("seconds", 0.0),
        )

    @staticmethod
    def forget(folder: Path) -> None:
        """Drop it: the training has ended."""
        (folder / PARTIAL_EPOCH).unlink(missing_ok=True)

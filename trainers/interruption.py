"""SIGTERM in the middle of a training: the state between two steps is kept, and ``--c`` goes on from that very step.

Schedulers send SIGTERM before they kill a job. The signal is only noted; the trainer asks between two steps, writes
``checkpoint_latest.pth`` as nnU-Net does and, beside it, what nnU-Net's checkpoints do not hold: how far the epoch had
come. A resumed training ends with the same weights as one that was never disturbed.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from impulse_nnunet.files import whole_file

PARTIAL_EPOCH = "checkpoint_partial_epoch.pth"
EXIT_CODE = 128 + signal.SIGTERM  # what a shell reports for a process that SIGTERM ended


class Interruption:
    """Whether SIGTERM came; listens only in the main thread, where Python delivers signals."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note SIGTERM in place of dying from it, as long as the block runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _note(self, number: int, frame: Any) -> None:
        self.asked = True


@dataclass(frozen=True)
class PartialEpoch:
    """How far an epoch had come.

    Args:
        epoch: Its number.
        optimiser_steps: Steps of the whole training so far; both tell which checkpoint this belongs to.
        losses: Training losses of the epoch's steps so far.
        random_state: torch's on the CPU, for dropout.
    """

    epoch: int
    optimiser_steps: int
    losses: tuple[float, ...]
    random_state: torch.Tensor

    @property
    def outputs(self) -> list[dict[str, np.ndarray]]:
        """The losses as nnU-Net's ``train_step`` returns them."""
        return [{"loss": np.asarray(loss, np.float32)} for loss in self.losses]

    def save(self, folder: Path) -> None:
        """Write it; the file appears only when it is whole."""
        content = {
            "epoch": self.epoch, "optimiser_steps": self.optimiser_steps, "losses": list(self.losses),
            "random_state": self.random_state,
        }  # fmt: skip
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
        return cls(epoch, optimiser_steps, tuple(content["losses"]), content["random_state"])

    @staticmethod
    def forget(folder: Path) -> None:
        """Drop it: the training has ended."""
        (folder / PARTIAL_EPOCH).unlink(missing_ok=True)


def steps_of(optimiser: torch.optim.Optimizer) -> int:
    """Steps that an AdamW optimiser has made."""
    return max((int(state["step"]) for state in optimiser.state.values() if "step" in state), default=0)

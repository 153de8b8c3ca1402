"""Learning rate by the share of the training that is done."""

from __future__ import annotations

import math

import torch


class CosineSchedule:
    """Half a cosine from the first to the last learning rate.

    Args:
        optimiser: Whose groups are set.
        first: Learning rate at the start.
        last: Learning rate at the end.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, first: float, last: float) -> None:
        self.optimiser, self.first, self.last = optimiser, first, last

    def step(self, epoch: int | None = None) -> None:
        """Nothing: nnU-Net calls this once an epoch, the trainer moves the rate at every step."""

    def move_to(self, progress: float) -> float:
        """Set the learning rate for a share (0 to 1) of the training and return it."""
        rate = self.last + (self.first - self.last) * (1 + math.cos(math.pi * progress)) / 2
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        return rate

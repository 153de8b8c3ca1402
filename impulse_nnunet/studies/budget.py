"""How long each system is trained: the same number of steps, or of minutes, for all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.settings import settings_from_configuration

SHORT_EPOCH, LONGEST_EPOCH, EPOCHS = 50, 250, 100  # steps; nnU-Net's own epochs have 250
STEPS_A_VALIDATION_STEP = 10


@dataclass(frozen=True)
class Budget:
    """Steps or minutes; one of them is 0.

    Args:
        steps: Optimiser steps.
        minutes: Wall-clock minutes of training.
    """

    steps: int = 0
    minutes: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Budget:
        """``2000`` steps or ``30min``.

        Raises:
            InputError: For anything else, or a number of steps that no whole number of epochs gives.
        """
        steps, minutes = re.fullmatch(r"\d+", text), re.fullmatch(r"(\d+(?:\.\d+)?)\s*min", text)
        budget = cls(int(text)) if steps else cls(minutes=float(minutes[1])) if minutes else cls()
        if not budget.steps and not budget.minutes:
            raise InputError("`budget`", repr(text), "steps or minutes", "e.g. `budget` 2000 or `budget` 30min")
        if budget.steps:
            budget.epochs()
        return budget

    @classmethod
    def of_plans(cls, configuration: Mapping[str, Any]) -> Budget:
        """What a configuration of ours sets."""
        training = settings_from_configuration(configuration).training
        if training.max_minutes > 0:
            return cls(minutes=training.max_minutes)
        return cls(training.epochs * training.iterations)

    @property
    def slug(self) -> str:
        """The budget as part of a name: ``2000steps`` or ``30min``."""
        return f"{self.steps}steps" if self.steps else f"{self.minutes:g}min".replace(".", "p")

    def __str__(self) -> str:
        return f"{self.steps} steps" if self.steps else f"{self.minutes:g} minutes"

    def epochs(self) -> tuple[int, int]:
        """Number of epochs and steps in each, for a budget in steps: about 100 epochs of 50 to 250 steps.

        Raises:
            InputError: No whole number of epochs comes near that.
        """
        wanted = min(max(SHORT_EPOCH, -(-self.steps // EPOCHS)), LONGEST_EPOCH)
        for length in range(min(wanted, self.steps), 0, -1):
            if self.steps % length == 0 and 5 * length >= min(wanted, self.steps):
                return self.steps // length, length
        raise InputError(
            "`budget`", f"{self.steps} steps", f"a multiple of {SHORT_EPOCH}", "epochs are of equal length"
        )

    def changes(self) -> dict[str, Any]:
        """Dotted settings of our plans."""
        if not self.steps:
            return {"impulse.training.max_minutes": self.minutes}
        epochs, length = self.epochs()
        return {
            "impulse.training.epochs": epochs,
            "impulse.training.iterations": length,
            "impulse.training.validation_iterations": max(1, length // STEPS_A_VALIDATION_STEP),
            "impulse.training.max_minutes": 0.0,
        }

    def stock_entry(self, seed: int, mirroring: bool) -> dict[str, Any]:
        """The entry ``budget`` of a configuration of nnU-Net's own plans, which ``nnUNetTrainerBudget`` reads."""
        epochs, length = self.epochs() if self.steps else (0, SHORT_EPOCH)
        return {
            "epochs": epochs,
            "iterations": length,
            "minutes": self.minutes,
            "seed": seed,
            "mirroring": mirroring,
            "validation_iterations": max(1, length // STEPS_A_VALIDATION_STEP),
        }

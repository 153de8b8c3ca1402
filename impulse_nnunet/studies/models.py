"""What a trained model's checkpoint says of its training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.nnunet.plans import resolved_configuration
from impulse_nnunet.security.checkpoints import load_checkpoint
from impulse_nnunet.settings import PLAN_KEY, settings_from_configuration

CHECKPOINT = "checkpoint_final.pth"
STOCK_STEPS = 250  # of an epoch of nnUNetTrainer


@dataclass(frozen=True)
class TrainedModel:
    """A fold of a model folder.

    Args:
        folder: TRAINER__PLANS__CONFIGURATION.
        fold: Fold of the cross-validation.
    """

    folder: Path
    fold: int | str

    @property
    def checkpoint(self) -> Path:
        """The weights at the end of the training.

        Raises:
            InputError: There are none.
        """
        path = self.folder / f"fold_{self.fold}" / CHECKPOINT
        if not path.is_file():
            raise InputError(
                str(path.parent), f"no {CHECKPOINT}", "a finished training", "train it, or give another `fold`"
            )
        return path

    def facts(self) -> dict[str, Any]:
        """``parameters`` that the optimiser moved, ``training_seconds`` of all epochs, ``steps`` of the optimiser."""
        content = load_checkpoint(self.checkpoint)
        states = content["optimizer_state"]["state"].values()
        ends, starts = (content["logging"][f"epoch_{what}_timestamps"] for what in ("end", "start"))
        counted = content["optimizer_state"]["param_groups"][0].get("steps")  # nnUNetTrainerBudget's; others take all
        return {
            "parameters": sum(_size_of_moments(state) for state in states),
            "training_seconds": float(sum(end - start for end, start in zip(ends, starts, strict=False))),
            "steps": len(ends) * _steps_of_epoch(content["init_args"]) if counted is None else counted,
        }


def _steps_of_epoch(arguments: dict[str, Any]) -> int:
    """From the plans that the checkpoint carries: ours, those of a budget, or nnU-Net's own 250."""
    configuration = resolved_configuration(arguments["plans"], arguments["configuration"])
    if PLAN_KEY in configuration:
        return settings_from_configuration(configuration).training.iterations
    return int(configuration.get("budget", {}).get("iterations", STOCK_STEPS))


def _size_of_moments(state: dict[str, Any]) -> int:
    """Entries of a parameter, by the first moment that AdamW, or the momentum that SGD, keeps of it."""
    moment = state.get("exp_avg", state.get("momentum_buffer"))
    return 0 if moment is None else int(moment.numel())

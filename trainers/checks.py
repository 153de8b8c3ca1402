"""What is refused: before a training starts, and before any folder is made; and weights that have gone wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from impulse_nnunet.errors import InputError
from impulse_nnunet.security.plans import check_plans
from impulse_nnunet.settings import (
    CONFIGURATION,
    PLANS,
    network_settings_from_configuration,
    settings_from_configuration,
)
from impulse_nnunet.trainers.ranks import from_all_ranks

LOWER_RATE = (
    "lower impulse.training.learning_rate in the plans and go on with `continue_training`; older checkpoints are whole"
)


def check_supported(plans: Mapping[str, Any], configuration: str, dataset_json: Mapping[str, Any]) -> None:
    """Refuse plans and data sets that this trainer cannot serve.

    Raises:
        InputError: Another planner's plans, plans that name classes of other packages, an unknown configuration, or
            settings out of range.
        NotImplementedError: Regions, cascades, or a running mean of weights beside batch norm.
    """
    if configuration not in plans["configurations"]:
        raise InputError(
            f"configuration {configuration}",
            f"no such entry in {plans.get('plans_name', 'the plans')}",
            ", ".join(plans["configurations"]),
            f"train {CONFIGURATION} with `plans` {PLANS}",
        )
    manager = PlansManager({k: v for k, v in plans.items() if k != "continue_training"})
    content = manager.get_configuration(configuration).configuration
    settings, network = settings_from_configuration(content), network_settings_from_configuration(content)
    if settings.training.averaging > 0 and (network.norm == "batch" or settings.template.mode == "co_trained"):
        raise NotImplementedError(
            "impulse.training.averaging is not supported with batch norm, whose own means are of other weights, nor "
            "with a co-trained template, which has it; set it to 0, or architecture.arch_kwargs.norm to instance"
        )
    check_plans(plans, str(plans.get("plans_name", "plans")))
    if any(isinstance(label, list | tuple) and len(label) > 1 for label in dataset_json["labels"].values()):
        raise NotImplementedError("region-based labels are not supported by nnUNetTrainerImPulSe; use plain labels")
    if content.get("previous_stage") or content.get("next_stage"):
        raise NotImplementedError(
            "cascades are not supported by nnUNetTrainerImPulSe; remove previous_stage/next_stage"
        )


def check_losses(losses: Sequence[float], epoch: int) -> None:
    """Refuse an epoch with losses that are no numbers: an encoder whose values overflow would else learn background.

    All ranks must call.

    Raises:
        InputError: Some are NaN or infinite, on whatever rank.
    """
    bad = sum(from_all_ranks(sum(not math.isfinite(loss) for loss in losses)))
    if bad:
        raise InputError(f"epoch {epoch}", f"{bad} step(s) with a NaN or infinite loss", "finite numbers", LOWER_RATE)


def check_steps(made: int, asked: int, epoch: int) -> None:
    """Refuse an epoch in which a scaled loss overflowed in every step, so that the network learned nothing.

    Args:
        made: Steps of the optimiser.
        asked: Steps of the epoch; 0 where an interrupted one had come to its end.
        epoch: For the message.

    Raises:
        InputError: None was made.
    """
    if asked > 0 and made == 0:
        raise InputError(
            f"epoch {epoch}", f"float16 gradients that overflow in all {asked} steps", "finite gradients", LOWER_RATE
        )


def check_weights(network: nn.Module, epoch: int) -> None:
    """Refuse weights that are no numbers before they reach a checkpoint or a prediction.

    Raises:
        InputError: Some are NaN or infinite.
    """
    names, values = zip(*network.named_parameters(), strict=True)
    finite = torch.stack([torch.isfinite(value).all() for value in values]).tolist()  # read from the device at once
    for name, whole in zip(names, finite, strict=True):
        if not whole:
            raise InputError(f"epoch {epoch}", f"NaN or infinite weights in {name}", "finite numbers", LOWER_RATE)

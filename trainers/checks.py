"""What is refused: before a training starts, and before any folder is made; and weights that have gone wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from impulse_nnunet.errors import InputError
from impulse_nnunet.settings import (
    CONFIGURATION,
    PLANS,
    network_settings_from_configuration,
    settings_from_configuration,
)
from impulse_nnunet.trust.plans import check_plans


def check_supported(plans: Mapping[str, Any], configuration: str, dataset_json: Mapping[str, Any]) -> None:
    """Refuse plans and data sets that this trainer cannot serve.

    Raises:
        InputError: Another planner's plans, plans that name classes of other packages, an unknown configuration, or
            settings out of range.
        NotImplementedError: Regions or cascades.
    """
    if configuration not in plans["configurations"]:
        raise InputError(
            f"configuration {configuration}", f"no such entry in {plans.get('plans_name', 'the plans')}",
            ", ".join(plans["configurations"]), f"train {CONFIGURATION} with -p {PLANS}",
        )  # fmt: skip
    manager = PlansManager({k: v for k, v in plans.items() if k != "continue_training"})
    content = manager.get_configuration(configuration).configuration
    settings_from_configuration(content)
    network_settings_from_configuration(content)
    check_plans(plans, str(plans.get("plans_name", "plans")))
    if any(isinstance(label, list | tuple) and len(label) > 1 for label in dataset_json["labels"].values()):
        raise NotImplementedError("region-based labels are not supported by nnUNetTrainerImPulSe; use plain labels")
    if content.get("previous_stage") or content.get("next_stage"):
        raise NotImplementedError(
            "cascades are not supported by nnUNetTrainerImPulSe; remove previous_stage/next_stage"
        )


def check_weights(network: nn.Module, epoch: int) -> None:
    """Refuse weights that are no numbers before they reach a checkpoint or a prediction.

    Raises:
        InputError: Some are NaN or infinite.
    """
    for name, value in network.named_parameters():
        if not bool(torch.isfinite(value).all()):
            raise InputError(
                f"epoch {epoch}", f"NaN or infinite weights in {name}", "finite numbers",
                "lower impulse.training.learning_rate in the plans and go on with --c; older checkpoints are whole",
            )  # fmt: skip

"""What nnU-Net makes of plans: a configuration with everything it inherits, a planner's plans, a model's folder."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nnunetv2
from nnunetv2.utilities.file_path_utilities import get_output_folder
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from impulse_nnunet.runtime.output import suppress_output


def resolved_configuration(plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A configuration of plans with everything that it inherits."""
    return dict(PlansManager(dict(plans)).get_configuration(name).configuration)


def default_plans_name(planner: str) -> str | None:
    """The name that one of nnU-Net's planners gives to its plans; None if there is no such planner."""
    folder = os.path.join(nnunetv2.__path__[0], "experiment_planning")
    with suppress_output():
        found = recursive_find_python_class(folder, planner, "nnunetv2.experiment_planning")
    return None if found is None else str(inspect.signature(found).parameters["plans_name"].default)


def model_folder(dataset: str, trainer: str, plans: str, configuration: str) -> Path:
    """Where nnU-Net puts a trained model, below ``nnUNet_results``."""
    return Path(get_output_folder(dataset, trainer, plans, configuration))

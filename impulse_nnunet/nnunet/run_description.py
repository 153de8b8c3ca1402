"""How a run makes its labels, for ``prediction.json``: versions, model, settings, device."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import Tensor

from impulse_nnunet import __version__

PACKAGES = ("nnunetv2", "torch", "numpy")


def describe_run(
    predictor: nnUNetPredictor, command: str, model: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """JSON of what decides the labels of a run.

    Args:
        predictor: With a model.
        command: Name of what was called.
        model: Folds, and digests of their files or weights.
        settings: Of this run.
    """
    versions = {"impulse_nnunet": __version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in PACKAGES}
    names = {
        "dataset": predictor.plans_manager.dataset_name,
        "plans": predictor.plans_manager.plans_name,
        "trainer": predictor.trainer_name,
    }
    return {
        "command": command,
        "versions": versions,
        "model": names | dict(model),
        "settings": dict(settings),
        "device": _device(predictor.device),
    }


def weights_digests(predictor: nnUNetPredictor) -> list[str]:
    """SHA-256 of each fold's weights, in the order of their names: what is known where no files are."""
    return [_digest(weights) for weights in predictor.list_of_parameters or []]


def _digest(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)

"""Template-guided implicit reconstruction (ImPulSe+) as an nnU-Net v2 plug-in.

The names below are what Python users need (docs/python.md); each is imported when it is first used, so that
``import impulse_nnunet`` is fast and takes neither PyTorch nor nnU-Net with it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impulse_nnunet.errors import CasesFailedError, InputError
    from impulse_nnunet.evaluation.case import evaluate_case as evaluate
    from impulse_nnunet.evaluation.settings import MetricSettings
    from impulse_nnunet.network import ImPulSeNet, NetworkSettings, build_network
    from impulse_nnunet.nnunet.output_options import OutputOptions
    from impulse_nnunet.nnunet.planning import plan_dataset as plan
    from impulse_nnunet.nnunet.planning import preprocess_dataset as preprocess
    from impulse_nnunet.nnunet.predictor import ImPulSePredictor as Predictor
    from impulse_nnunet.phantom.case import make_case as make_phantom
    from impulse_nnunet.phantom.settings import PhantomSettings

__version__ = "0.1.0"
__all__ = [
    "CasesFailedError",
    "ImPulSeNet",
    "InputError",
    "MetricSettings",
    "NetworkSettings",
    "OutputOptions",
    "PhantomSettings",
    "Predictor",
    "build_network",
    "evaluate",
    "make_phantom",
    "plan",
    "preprocess",
]
_PLACES = {  # name -> module and the name there
    "CasesFailedError": ("errors", "CasesFailedError"),
    "ImPulSeNet": ("network", "ImPulSeNet"),
    "InputError": ("errors", "InputError"),
    "MetricSettings": ("evaluation.settings", "MetricSettings"),
    "NetworkSettings": ("network", "NetworkSettings"),
    "OutputOptions": ("nnunet.output_options", "OutputOptions"),
    "PhantomSettings": ("phantom.settings", "PhantomSettings"),
    "Predictor": ("nnunet.predictor", "ImPulSePredictor"),
    "build_network": ("network", "build_network"),
    "evaluate": ("evaluation.case", "evaluate_case"),
    "make_phantom": ("phantom.case", "make_case"),
    "plan": ("nnunet.planning", "plan_dataset"),
    "preprocess": ("nnunet.planning", "preprocess_dataset"),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, there = _PLACES[name]
    value = getattr(importlib.import_module(f"{__name__}.{module}"), there)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

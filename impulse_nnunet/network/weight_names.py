"""Names of weights in checkpoints, also in those of versions before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

LOCALIZER, LOCALIZER_BEFORE = "localizer.", "finder."

Value = TypeVar("Value")


def with_current_names(weights: Mapping[str, Value]) -> dict[str, Value]:
    """Weights by the names of this version; versions before named those of the localizer ``finder.*``."""
    return {_current(name): value for name, value in weights.items()}


def rename_before_loading(module: object, weights: dict[str, Any], prefix: str, *_: object) -> None:
    """Hook of ``load_state_dict``: a network takes a checkpoint of a version before."""
    for name in [name for name in weights if name.startswith(prefix + LOCALIZER_BEFORE)]:
        weights[prefix + _current(name.removeprefix(prefix))] = weights.pop(name)


def _current(name: str) -> str:
    return LOCALIZER + name.removeprefix(LOCALIZER_BEFORE) if name.startswith(LOCALIZER_BEFORE) else name

"""What the steps of an epoch give: kept on the device, and read once, so that no step waits for the one before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch


def read_outputs(outputs: Sequence[dict[str, Any]]) -> list[dict[str, np.ndarray]]:
    """The outputs of steps as nnU-Net's logger takes them; all tensors of one name are read from the device at once.

    Args:
        outputs: Outputs of each step, tensors, or arrays where they were read before; of one shape for each name.
    """
    names = list(outputs[0]) if outputs else []
    columns = {name: _read([output[name] for output in outputs]) for name in names}
    return [{name: columns[name][step] for name in names} for step in range(len(outputs))]


def losses_of(outputs: Sequence[dict[str, Any]]) -> tuple[float, ...]:
    """The losses of steps, read at once."""
    return tuple(float(output["loss"]) for output in read_outputs([{"loss": output["loss"]} for output in outputs]))


def _read(values: Sequence[Any]) -> list[np.ndarray]:
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    read = iter(torch.stack(tensors).cpu().numpy() if tensors else ())
    return [np.asarray(next(read) if isinstance(value, torch.Tensor) else value) for value in values]

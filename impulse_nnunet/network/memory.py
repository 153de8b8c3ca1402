"""Memory of a training step, estimated: what the backward pass keeps, counted on tensors without memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

BYTES_PER_ACTIVATION = 2  # half precision on a GPU
BYTES_PER_PARAMETER = 16  # weight, gradient and AdamW's two moments in float32
FIXED_GB = 1.1  # CUDA's context (0.95 on an H200) and the batch that is made ahead of a small grid
RESERVED_TO_LIVE = 1.35  # what PyTorch takes from the device, cuDNN's workspaces included: 1.07 to 1.38 on an H200
GIGABYTE = 1e9
PEAK_TO_SAVED = 1.4  # room for gradients and copies beside what is saved


def saved_values(encoder: nn.Module, input_channels: int, grid: tuple[int, int, int]) -> int:
    """Values that an encoder's backward pass keeps of one image; the encoder lies on the meta device."""
    parameters = {_place(parameter) for parameter in encoder.parameters()}
    kept: dict[Any, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if _place(tensor) not in parameters:
            kept[_place(tensor)] = tensor.untyped_storage().nbytes() // tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        pyramid = encoder(torch.empty(1, input_channels, *grid, device="meta"))
    del pyramid  # until here the graph holds the tensors, so that no place is counted for two of them
    return sum(kept.values())


def training_gb(saved: int, parameters: int, batch_size: int, points: int, values_per_point: int) -> float:
    """Peak GPU memory of a training step.

    Args:
        saved: Values that the encoder keeps of one image.
        parameters: Trained ones.
        batch_size: Samples in a step.
        points: In each sample.
        values_per_point: float32 values at each point: encoding, hidden layers, logits and their gradients.
    """
    sample = saved * PEAK_TO_SAVED * BYTES_PER_ACTIVATION + points * values_per_point * 4
    return peak_gb(batch_size * sample + parameters * BYTES_PER_PARAMETER)


def peak_gb(live_bytes: float) -> float:
    """What a training takes of a GPU, as nvidia-smi shows it, from the bytes of its tensors (docs/benchmarks.md)."""
    return FIXED_GB + RESERVED_TO_LIVE * live_bytes / GIGABYTE


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata

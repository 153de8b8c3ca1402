"""A made-up CUDA device: tensors that have shapes, types and a device and no values (FakeTensorMode).

It shows on any machine what a GPU would refuse: tensors of two devices in one call, and, by their types, what would be
computed in half precision. Nothing is computed, so values decide nothing: what waits for one raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from impulse_nnunet.network import precision

CUDA = torch.device("cuda", 0)


@contextmanager
def fake_cuda(patch: pytest.MonkeyPatch, half: torch.dtype = torch.bfloat16) -> Iterator[None]:
    """The device ``cuda:0``, with or without bfloat16; networks built inside lie there."""
    patch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: half is torch.bfloat16)
    patch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    patch.setattr(Tensor, "pin_memory", lambda self, *_: self)  # fake tensors cannot; the memory is the same for them
    patch.setattr(nn.Module, "to", _stays)
    precision.half_precision.cache_clear()
    try:
        with FakeTensorMode():
            yield
    finally:
        precision.half_precision.cache_clear()


def _stays(module: nn.Module, device: torch.device | str) -> nn.Module:
    """In place of a move, which fake parameters cannot make: all that there is must lie on the device already."""
    kind = torch.device(device).type
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.device.type != kind:
            raise RuntimeError(f"{name} lies on {tensor.device}, expected {kind}: build it there")
    return module


def describe(*tensors: Tensor) -> set[tuple[str, torch.dtype]]:
    """Devices and types that occur."""
    return {(tensor.device.type, tensor.dtype) for tensor in tensors}

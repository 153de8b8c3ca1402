"""In which precision a network runs on which device, in training and in prediction alike.

On CUDA the encoder runs in half precision under autocast; points, heads and template stay in float32 everywhere. An
encoder's activations may pass float16's largest value, 65504, and the overflow would become background without a word;
bfloat16 has float32's range and needs no scaled loss, so float16 serves only where a GPU lacks it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

import torch


def encoder_autocast(device: torch.device | str) -> AbstractContextManager[object]:
    """Half precision for an encoder or a dense network on CUDA; on other devices nothing changes."""
    if torch.device(device).type != "cuda":
        return nullcontext()
    return torch.autocast("cuda", dtype=half_precision())


def full_precision(device: torch.device | str) -> AbstractContextManager[object]:
    """float32 inside an autocast of a device; a tensor without memory (meta) has no autocast."""
    kind = torch.device(device).type
    return nullcontext() if kind == "meta" else torch.autocast(kind, enabled=False)


def needs_scaler(device: torch.device | str) -> bool:
    """Whether the loss is scaled, so that float16's gradients do not vanish."""
    return torch.device(device).type == "cuda" and half_precision() is torch.float16


@lru_cache(maxsize=1)
def half_precision() -> torch.dtype:
    """bfloat16 where this machine's GPUs multiply it in hardware, else float16."""
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16

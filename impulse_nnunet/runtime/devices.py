"""Which devices serve: CPU and CUDA; others are refused in one line before work begins."""

from __future__ import annotations

import os

import torch

from impulse_nnunet.errors import InputError

DEVICES = ("cpu", "cuda")


def check_device(device: torch.device | str) -> None:
    """Refuse a device on which nothing here can run, before any work.

    Raises:
        InputError: It is neither CPU nor CUDA, or it is CUDA and PyTorch sees no GPU.
    """
    kind = device.type if isinstance(device, torch.device) else device
    if kind not in DEVICES:
        reason = "positions are computed in float64, which mps lacks" if kind == "mps" else "choose one of them"
        raise InputError("`device`", kind, " or ".join(DEVICES), f"{reason}; give `device` cpu")
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError("`device`", "cuda", "a device of this machine", f"give `device` cpu ({why_no_cuda()})")


def why_no_cuda() -> str:
    """The likeliest reason why PyTorch sees no GPU, in words."""
    if torch.version.cuda is None:
        return f"PyTorch {torch.__version__} is built without CUDA"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    seen = "" if visible is None else f" with CUDA_VISIBLE_DEVICES={visible!r}"
    return f"PyTorch {torch.__version__} sees no GPU{seen}; nvidia-smi tells whether the driver does"

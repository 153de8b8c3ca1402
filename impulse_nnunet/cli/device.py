"""``-device``, the same in each command that computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impulse_nnunet.environment import usable_threads
from impulse_nnunet.errors import InputError

if TYPE_CHECKING:
    import torch


def chosen_device(name: str | None) -> torch.device | None:
    """The device that the flag names, None for the best one; on the CPU all cores of the job are used.

    Raises:
        InputError: CUDA is named and this machine has none.
    """
    import torch

    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise InputError("-device", "cuda", "a device of this machine", "give -device cpu")
    if name == "cpu" or (name is None and not has_cuda):
        torch.set_num_threads(usable_threads())
    return torch.device(name) if name else None

"""What the processes of one training (one for each GPU) have to agree on."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import distributed

T = TypeVar("T")


def ranks_device(device: torch.device) -> torch.device:
    """Where a rank trains: nnU-Net takes it for given that there are GPUs; without one the CPU serves (Gloo)."""
    return device if torch.cuda.is_available() else torch.device("cpu")


def any_rank(asked: bool, device: torch.device) -> bool:
    """Whether any rank says yes; all must call. A lone process asks only itself."""
    if not distributed.is_initialized():
        return asked
    answer = torch.tensor(int(asked), device=device)
    distributed.all_reduce(answer, distributed.ReduceOp.MAX)
    return bool(answer)


def from_all_ranks(value: T) -> list[T]:
    """The values of all ranks, by rank; all must call."""
    if not distributed.is_initialized():
        return [value]
    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def wait_for_all_ranks() -> None:
    """Go on only when all ranks have come here."""
    if distributed.is_initialized():
        distributed.barrier()

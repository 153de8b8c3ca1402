"""What the processes of one training (one for each GPU) have to agree on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")
STEPS_BETWEEN_QUESTIONS = 20  # on GPUs, whose steps are short, and where the answer means waiting for all work so far


def time_to_ask(step: int, device: torch.device) -> bool:
    """Whether ranks ask each other at this step; on every rank the same."""
    return not distributed.is_initialized() or device.type != "cuda" or step % STEPS_BETWEEN_QUESTIONS == 0


def ranks_device(device: torch.device) -> torch.device:
    """Where a rank trains: nnU-Net takes it for given that there are GPUs; without one the CPU serves (Gloo)."""
    return device if torch.cuda.is_available() else torch.device("cpu")


def initialize_cpu_rank(trainer: Any, initialize: Callable[[], None]) -> None:
    """nnU-Net's ``initialize`` wraps for GPUs only: let it build, then wrap for the CPU."""
    trainer.is_ddp = False
    try:
        initialize()
    finally:
        trainer.is_ddp = True
    trainer._set_batch_size_and_oversample()
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in trainer.network.modules()):
        raise NotImplementedError("batch normalisation is not supported on several CPU processes; use GPUs")
    trainer.network = DistributedDataParallel(trainer.network)


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

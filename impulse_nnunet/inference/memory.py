"""Too little memory on the device: the same work in smaller blocks, then on the CPU, said in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.inference.encoding import Ensemble
from impulse_nnunet.settings import ImPulSeSettings

T = TypeVar("T")
SMALLER = (1, 4, 16)  # parts of the plans' block that are tried
CPU_WORDS = ("can't allocate memory", "not enough memory", "unable to allocate")  # torch and NumPy on the CPU

logger = logging.getLogger(__name__)


def with_less_memory(
    ensemble: Ensemble, settings: ImPulSeSettings, case: str, work: Callable[[Ensemble, ImPulSeSettings], T]
) -> T:
    """Encode and decode a case, again with less memory where that is too much.

    Args:
        ensemble: On the device of choice, where it is again afterwards.
        settings: Of the plans; ``inference.block_points`` is what shrinks.
        case: Identifier, for the log.
        work: Does it, with the ensemble and settings that it is given.

    Raises:
        InputError: The smallest block on the CPU is too much.
    """
    device = ensemble.device
    attempts = [(device, part) for part in SMALLER]
    if device.type != "cpu":
        attempts += [(torch.device("cpu"), part) for part in (SMALLER[0], SMALLER[-1])]
    for number, (place, part) in enumerate(attempts, 1):
        block = max(1, settings.inference.block_points // part)
        try:
            with _on(ensemble, place):
                return work(ensemble, replace(settings, inference=replace(settings.inference, block_points=block)))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # out of the handler, so that the error's frames let go of the memory
        if place.type == "cuda":
            torch.cuda.empty_cache()
        if number < len(attempts):
            then, share = attempts[number]
            logger.warning("%s: out of memory on %s, going on with blocks of 1/%d on %s", case, place, share, then)
    raise InputError(
        case, f"too little memory, in the smallest blocks on {attempts[-1][0]} too", "memory for the case",
        "end other jobs, or try fewer cases at a time",
    )  # fmt: skip


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, on any device."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in CPU_WORDS)


@contextmanager
def _on(ensemble: Ensemble, device: torch.device) -> Iterator[None]:
    """The ensemble on a device, and back."""
    before = ensemble.device
    if device == before:
        yield
        return
    ensemble.to(device)
    try:
        yield
    finally:
        ensemble.to(before)

"""Too little memory on the device: the same work in smaller blocks, then on the CPU, said in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.inference.ensemble import Ensemble
from impulse_nnunet.runtime.cpus import usable_threads
from impulse_nnunet.runtime.device_errors import device_lost, is_device_lost, is_out_of_memory
from impulse_nnunet.runtime.threads import all_cpu_threads
from impulse_nnunet.settings import ImPulSeSettings

T = TypeVar("T")
SMALLER = (1, 4, 16)  # parts of the plans' block that are tried

logger = logging.getLogger(__name__)


def with_less_memory(
    ensemble: Ensemble, settings: ImPulSeSettings, case: str, work: Callable[[Ensemble, ImPulSeSettings], T]
) -> T:
    """Encode and decode a case, again with less memory where that is too much.

    Args:
        ensemble: On the device of choice, where it is again afterwards if it still fits.
        settings: Settings of the plans; ``inference.block_points`` is what shrinks.
        case: Identifier, for the log.
        work: Does it, with the ensemble and settings that it is given.

    Raises:
        InputError: The smallest block on the CPU is too much.
        DeviceLostError: CUDA has failed for good; nothing is tried again.
    """
    device = ensemble.device
    attempts = [(device, part) for part in SMALLER]
    if device.type != "cpu":
        attempts += [(torch.device("cpu"), part) for part in (SMALLER[0], SMALLER[-1])]
    for number, (place, part) in enumerate(attempts, 1):
        block = max(1, settings.inference.block_points // part)
        try:
            with _on(ensemble, place, case):
                return work(ensemble, replace(settings, inference=replace(settings.inference, block_points=block)))
        except (RuntimeError, MemoryError) as error:
            if is_device_lost(error):
                raise device_lost(case, error) from error
            if not is_out_of_memory(error):
                raise
        # out of the handler, so that the error's frames let go of the memory
        _give_back(device)
        if number < len(attempts):
            then, share = attempts[number]
            logger.warning("%s: out of memory on %s, going on with blocks of 1/%d on %s", case, place, share, then)
    raise InputError(
        case,
        f"too little memory, in the smallest blocks on {attempts[-1][0]} too",
        "memory for the case",
        "end other jobs, or try fewer cases at a time",
    )


@contextmanager
def _on(ensemble: Ensemble, device: torch.device, case: str) -> Iterator[None]:
    """The ensemble on a device, and back; on the CPU in place of a GPU with all cores."""
    before = ensemble.device
    if device == before:
        yield
        return
    try:
        ensemble.to(device)
        _give_back(before)
        with all_cpu_threads():
            yield
    finally:
        _return(ensemble, before, device, case)


def _return(ensemble: Ensemble, before: torch.device, device: torch.device, case: str) -> None:
    try:
        ensemble.to(before)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        ensemble.to(device)
        torch.set_num_threads(max(torch.get_num_threads(), usable_threads()))
        logger.warning(
            "%s: no room on %s for the network any more, going on with the next cases on %s", case, before, device
        )


def _give_back(device: torch.device) -> None:
    """Give cached memory back to the GPU, so that large blocks fit again."""
    if device.type == "cuda":
        torch.cuda.empty_cache()

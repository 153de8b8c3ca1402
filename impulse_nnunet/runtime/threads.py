"""Threads of PyTorch on the CPU: as many as this process was given, not as many as the machine has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from impulse_nnunet.runtime.cpus import usable_threads


def limit_cpu_threads(device: torch.device) -> None:
    """Take back what nnU-Net's commands set: with ``-device cpu`` they take a thread for every core of the machine.

    Beside other processes that is slow without bounds: threads that compute together wait, busy, for one that has no
    core. Nothing happens on other devices, and where fewer threads are set already.
    """
    if device.type == "cpu":
        torch.set_num_threads(min(torch.get_num_threads(), usable_threads()))


@contextmanager
def all_cpu_threads() -> Iterator[None]:
    """All threads that this process may have, then as many as before: for work that a GPU could not do.

    nnU-Net's commands leave one thread to the CPU where the device is a GPU.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(usable_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)

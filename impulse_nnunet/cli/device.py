"""``-device``, the same in each command that computes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from impulse_nnunet.runtime.cpus import usable_threads

if TYPE_CHECKING:
    import torch


def add_device_flag(parser: argparse._ActionsContainer, default: str | None = None, purpose: str = "") -> None:
    """Declare the flag.

    Args:
        parser: Or a group of one.
        default: ``cpu`` or ``cuda``; None for CUDA if there is one.
        purpose: What it is for, where that is not the whole command.
    """
    shown = default or "cuda if there is one"
    parser.add_argument(
        "-device", default=default, metavar="{cpu,cuda}", help=f"{purpose}{': ' if purpose else ''}default: {shown}"
    )


def checked_device(name: str | None) -> str | None:
    """The name itself.

    Raises:
        InputError: No such device here.
    """
    from impulse_nnunet.runtime.devices import check_device

    if name is not None:
        check_device(name)
    return name


def chosen_device(name: str | None) -> torch.device | None:
    """The device that the flag names, None for the best one; on the CPU all cores of the job are used.

    Raises:
        InputError: No such device here.
    """
    import torch

    checked_device(name)
    if name == "cpu" or (name is None and not torch.cuda.is_available()):
        torch.set_num_threads(usable_threads())
    return torch.device(name) if name else None

"""AdamW on each device: fused on CUDA, where its count of steps lies on the GPU and none waits for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

AVERAGE, AVERAGED = "average", "averaged"  # entries of the state: a parameter's running mean, and its steps
WAYS = ("foreach", "fused", "capturable", "differentiable")  # of computing the same step; the device's choice


def adamw(
    parameters: Iterable[nn.Parameter], learning_rate: float, device: torch.device, weight_decay: float = 1e-2
) -> torch.optim.AdamW:
    """AdamW for parameters that lie on a device already; elsewhere than on CUDA it is PyTorch's default."""
    fused = True if device.type == "cuda" else None
    return torch.optim.AdamW(parameters, learning_rate, weight_decay=weight_decay, fused=fused)


def keep_average(optimiser: torch.optim.Optimizer, decay: float) -> None:
    """Keep a running mean of the parameters, moved after every step; it is part of the optimiser's state.

    Its memory is short at first and grows to ``decay``: the n-th step keeps ``min(decay, n / (n + 9))`` of the mean, so
    the random start is soon forgotten.

    Args:
        optimiser: Of the training.
        decay: Share that each step keeps, less than 1.
    """

    @torch.no_grad()
    def move(optimiser: torch.optim.Optimizer, *_: Any) -> None:
        for group in optimiser.param_groups:
            group[AVERAGED] = group.get(AVERAGED, 0) + 1
            keep = min(decay, group[AVERAGED] / (group[AVERAGED] + 9))
            moved = [parameter for parameter in group["params"] if parameter in optimiser.state]
            means = [optimiser.state[p].setdefault(AVERAGE, p.detach().clone()) for p in moved]
            torch._foreach_lerp_(means, [parameter.detach() for parameter in moved], 1 - keep)

    optimiser.register_step_post_hook(move)


@torch.no_grad()
def use_average(optimiser: torch.optim.Optimizer) -> None:
    """Give the parameters the values of their running mean, where one is kept."""
    for parameter, state in optimiser.state.items():
        if AVERAGE in state:
            parameter.copy_(state[AVERAGE])


def load_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Set an optimiser's saved state, which another kind of device may have left.

    How the step is computed stays as this device has it; it decides where the count of steps lies, too.

    Args:
        optimiser: Optimiser of this training.
        state: What ``state_dict`` gave, on the CPU.

    Raises:
        ValueError: It is of other parameters.
    """
    own, saved = optimiser.param_groups, state["param_groups"]
    if len(own) != len(saved):
        raise ValueError(f"{len(saved)} groups of parameters in the optimiser's state, expected {len(own)}")
    groups = [
        theirs | {way: group[way] for way in WAYS if way in group} for group, theirs in zip(own, saved, strict=True)
    ]
    optimiser.load_state_dict({**state, "param_groups": groups})


def steps_of(optimiser: torch.optim.Optimizer) -> int:
    """Steps that an AdamW optimiser has made; on a GPU it is waited for, once."""
    steps = [torch.as_tensor(state["step"]).float() for state in optimiser.state.values() if "step" in state]
    return int(torch.stack(steps).max()) if steps else 0

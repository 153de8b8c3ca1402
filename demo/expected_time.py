"""How long the demo takes here: ``python demo/expected_time.py DEVICE STEPS STEPS_OF_BRONCHI_AND_VESSELS``.

A few training steps at the size of the demo's networks are made and timed; the rest of the demo (planning, prediction,
scores) takes about as long as its trainings.
"""

from __future__ import annotations

import sys
from time import perf_counter

import torch

from impulse_nnunet.network import NetworkSettings, build_network
from impulse_nnunet.runtime.cpus import usable_threads
from impulse_nnunet.settings import LossSettings
from impulse_nnunet.training.losses import point_loss
from impulse_nnunet.training.optimiser import adamw

STRIDES = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
WIDTHS, POINTS = (16, 32, 64, 128), 4096
WARM_UP, STEPS = 1, 3
WHOLE, OTHER_S = 1.9, 60  # whole demo / its steps, and what does not follow from the speed of a step: loading libraries


def step_seconds(device: torch.device, grid: tuple[int, int, int], batch: int, channels: int, classes: int) -> float:
    """Seconds of a training step."""
    settings = NetworkSettings(
        features_per_stage=WIDTHS, strides=STRIDES, blocks_per_stage=(2, 2, 2, 2), head_features=64, template_grid=grid
    )
    network = build_network(settings, channels, classes).to(device).train()
    optimiser = adamw(network.parameters(), 1e-3, device)
    images = torch.randn(batch, channels, *grid, device=device)
    points = torch.rand(batch, POINTS, 3, device=device) * 2 - 1
    labels = torch.randint(0, classes, (batch, POINTS), device=device)
    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            started = perf_counter()
        loss = point_loss(network(images, points), labels, LossSettings())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()
    return (perf_counter() - started) / STEPS


def main() -> None:
    """Say it."""
    device, steps, bav_steps = torch.device(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(usable_threads())
    bav = step_seconds(device, (48, 56, 64), batch=4, channels=1, classes=4)
    segments = step_seconds(device, (40, 32, 48), batch=3, channels=4, classes=19)
    minutes = (WHOLE * (bav_steps * bav + steps * segments) + OTHER_S) / 60
    sys.stdout.write(
        f"{bav_steps} steps of {bav:.2f} s and {steps} steps of {segments:.2f} s on this machine as it is now: "
        f"the demo takes about {minutes:.0f} minutes\n"
    )


if __name__ == "__main__":
    main()

"""Seconds of a training step of each system on this machine: forward, loss, backward and AdamW, without the data.

python -m benchmarks.systems --grid 64 --width 16
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from impulse_nnunet.geometry.coordinates import grid_points
from impulse_nnunet.network import SYSTEMS, ImPulSeNet, NetworkSettings, Task
from impulse_nnunet.settings import LossSettings
from impulse_nnunet.training.losses import point_loss

POINTS = 4096
Step = Callable[[], None]


def main() -> None:
    """Print one line for each system and for each encoder of ImPulSe+."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", type=int, default=64, help="edge of the input grid, voxels")
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=2, help="to time, after one that is not")
    options = parser.parse_args()
    grid, widths = (options.grid,) * 3, tuple(options.width * 2**stage for stage in range(4))
    cases = [(SYSTEMS[name].title, name, "resnet18", False) for name in SYSTEMS]
    cases += [(f"ImPulSe+, {encoder}", "impulse_plus", encoder, False) for encoder in ("unet_encoder", "unet")]
    cases += [("ImPulSe+, template co-trained", "impulse_plus", "resnet18", True)]
    for title, system, encoder, co_trained in cases:
        settings = NetworkSettings(features_per_stage=widths, template_grid=grid, encoder=encoder)
        network = SYSTEMS[system].build(
            Task(settings=settings, input_channels=4, number_of_classes=19, input_grid=grid, co_trained=co_trained)
        )
        step = training_step(network, grid, options.batch, SYSTEMS[system].dense)
        step()
        start = time.perf_counter()
        for _ in range(options.steps):
            step()
        seconds = (time.perf_counter() - start) / options.steps
        parameters = sum(parameter.numel() for parameter in network.parameters())
        print(f"{title:32} {parameters:>11,} parameters {seconds:8.2f} s a step", flush=True)


def training_step(network: ImPulSeNet, grid: tuple[int, int, int], batch: int, dense: bool) -> Step:
    """A function that makes one step on random data."""
    image = torch.randn(batch, 4, *grid)
    lattice = grid_points(grid).reshape(1, -1, 3).expand(batch, -1, -1)
    points = lattice if dense else torch.rand(batch, POINTS, 3) * 2 - 1
    labels = torch.randint(0, 19, points.shape[:2])
    optimiser = torch.optim.AdamW(network.parameters())

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        point_loss(network(image, points), labels, LossSettings()).backward()
        optimiser.step()

    return step


if __name__ == "__main__":
    main()

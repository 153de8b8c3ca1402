"""Learning curves: the template's picture, and TensorBoard as an optional logger of nnU-Net."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

TENSORBOARD_VARIABLE = "impulse_tensorboard_enabled"


def plot_template_curve(losses: list[float], path: Path) -> None:
    """Write the loss of the template's pre-training, step by step and as a running mean, to a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(losses, color="0.75", linewidth=0.8, label="each step")
    width = max(1, len(losses) // 50)
    running = np.convolve(losses, np.ones(width) / width, mode="valid")
    axes.plot(np.arange(len(running)) + width // 2, running, color="tab:blue", label=f"mean of {width} steps")
    axes.set(title="Template pre-training", xlabel="step", ylabel="loss (CE + Dice)")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)


class TensorBoardLogger:
    """Logger for nnU-Net's ``MetaLogger``: curves in ``<output folder>/tensorboard``.

    Set ``impulse_tensorboard_enabled=1`` and install ``impulse-nnunet[tensorboard]``.
    """

    def __init__(self, output_folder: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(os.path.join(output_folder, "tensorboard"))

    @staticmethod
    def enabled() -> bool:
        """Whether the environment asks for it."""
        return os.environ.get(TENSORBOARD_VARIABLE, "0").lower() in ("1", "true")

    def update_config(self, config: dict[str, Any]) -> None:
        """Keep the configuration as text."""
        for name, value in config.items():
            self.writer.add_text(name, f"```\n{value}\n```")

    def log(self, key: str, value: Any, step: int) -> None:
        """Add a point to a curve."""
        self.writer.add_scalar(key, float(value), step)
        self.writer.flush()

    def log_summary(self, key: str, value: Any) -> None:
        """Add a figure that is known once."""
        self.writer.add_scalar(f"summary/{key}", float(value), 0)
        self.writer.flush()

"""What every check of a GPU run is given: device, sizes and folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import standin


@dataclass(frozen=True, kw_only=True)
class Context:
    """Where a check runs and with which sizes.

    Args:
        device: Of the check.
        tiny: A rehearsal: small sizes, few steps.
        work: Folder for everything that is made on the way.
        data: Folder with nnU-Net raw data sets (``Dataset704_...``); None: synthetic ones are made.
        minutes: Of each training of the studies.
    """

    device: torch.device
    tiny: bool
    work: Path
    data: Path | None
    minutes: float

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    @property
    def sizes(self) -> standin.Sizes:
        """Of the stand-in for a trained model."""
        return standin.TINY if self.tiny else standin.PAPER

    def standin(self) -> Path:
        """The stand-in's folder, filled."""
        return standin.made(self.work / f"standin_{'tiny' if self.tiny else 'paper'}", self.sizes, self.device)

    def set_folders(self) -> None:
        """Point nnU-Net's variables at the work folder; call it before nnU-Net is imported."""
        from impulse_nnunet.runtime.environment import FOLDERS, ensure_variables

        for name in FOLDERS:
            os.environ[name] = str(self.work / name)
            Path(os.environ[name]).mkdir(parents=True, exist_ok=True)
        ensure_variables()

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.on_gpu:
            torch.cuda.synchronize()

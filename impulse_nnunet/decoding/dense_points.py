"""Points of a network whose encoder ends in logits: interpolation, and nothing else."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from impulse_nnunet.decoding.kernels import add_interpolated


class DensePoints:
    """Tri-linear interpolation of logits, on the CPU.

    Args:
        logits: (1, class, d, h, w) in main memory.
    """

    @torch.inference_mode()
    def __init__(self, logits: Tensor) -> None:
        self.number_of_classes = logits.shape[1]
        self.d, self.h, self.w = logits.shape[2:]
        self.values = logits[0].flatten(1).T.float().contiguous().numpy()  # (voxel, class)

    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`~impulse_nnunet.decoding.point_decoders.Points`."""
        logits = np.zeros((len(points), self.number_of_classes), np.float32)
        add_interpolated(self.values, self.d, self.h, self.w, points, logits)
        return logits, np.zeros((len(points), 3), np.float32)

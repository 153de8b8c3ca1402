"""Grids on which to decode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from impulse_nnunet.geometry.boxes import Box


@dataclass(frozen=True)
class OutputGrid:
    """A grid on which to decode.

    Args:
        shape: (d, h, w).
        to_image: (3, 4) float64: image position = to_image @ (index d, h, w, 1).
    """

    shape: tuple[int, int, int]
    to_image: np.ndarray

    @classmethod
    def native(cls, shape: Sequence[int]) -> OutputGrid:
        """The image's own grid."""
        size = np.asarray(shape, np.float64)
        d, h, w = (int(n) for n in shape)
        return cls((d, h, w), np.concatenate([np.diag(2 / size), (1 / size - 1)[:, None]], axis=1))

    def planes(self, first: int, last: int) -> OutputGrid:
        """The part of planes ``first`` (included) to ``last`` (excluded) along the first axis."""
        to_image = self.to_image.copy()
        to_image[:, 3] += first * to_image[:, 0]
        return OutputGrid((last - first, *self.shape[1:]), to_image)

    def positions(self, indices: np.ndarray) -> np.ndarray:
        """Image positions (n, 3) of voxel indices (n, 3)."""
        return indices @ self.to_image[:, :3].T + self.to_image[:, 3]

    def to_box(self, box: Box) -> np.ndarray:
        """(3, 4) float64: box position = to_box @ (index d, h, w, 1)."""
        inverse = np.linalg.inv(box.matrix)
        offset = inverse @ (self.to_image[:, 3] - box.centre)
        return np.concatenate([inverse @ self.to_image[:, :3], offset[:, None]], axis=1)

    def index_range(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """First (included) and last (excluded) index along each axis that can lie in a box."""
        signs = np.stack(np.meshgrid(*[(-1.0, 1.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
        corners = box.to_image(signs) - self.to_image[:, 3]
        indices = corners @ np.linalg.inv(self.to_image[:, :3]).T
        lower = np.clip(np.floor(indices.min(0)), 0, self.shape).astype(int)
        upper = np.clip(np.ceil(indices.max(0)) + 1, 0, self.shape).astype(int)
        return lower, np.maximum(lower, upper)

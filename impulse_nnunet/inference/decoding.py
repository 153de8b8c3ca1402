"""Decoding an encoded box on any output grid, block by block, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from impulse_nnunet.coordinates import Box, inside
from impulse_nnunet.network import PointDecoder, PointPrediction


@dataclass(frozen=True)
class EncodedBox:
    """A box of an image after the encoder: one decoder and one pyramid for each fold.

    Args:
        members: (decoder, pyramid) of each fold, on the same device.
        box: Where the pyramids lie in the image.
    """

    members: Sequence[tuple[PointDecoder, Sequence[Tensor]]]
    box: Box

    @property
    def number_of_classes(self) -> int:
        """Classes, background included."""
        return self.members[0][0].number_of_classes

    @torch.inference_mode()
    def decode(self, points: np.ndarray) -> PointPrediction:
        """Mean logits (point, class) and displacement (point, 3) over the folds at box positions (point, 3)."""
        device = self.members[0][1][0].device
        positions = torch.from_numpy(points.astype(np.float32))[None].to(device)
        predictions = [decoder(pyramid, positions) for decoder, pyramid in self.members]
        logits = torch.stack([prediction.logits[0].float() for prediction in predictions]).mean(0)
        displacement = torch.stack([prediction.displacement[0].float() for prediction in predictions]).mean(0)
        return PointPrediction(logits, displacement)


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

    def positions(self, indices: np.ndarray) -> np.ndarray:
        """Image positions (n, 3) of voxel indices (n, 3)."""
        return indices @ self.to_image[:, :3].T + self.to_image[:, 3]

    def index_range(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """First (included) and last (excluded) index along each axis that can lie in a box."""
        signs = np.stack(np.meshgrid(*[(-1.0, 1.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
        corners = box.to_image(signs) - self.to_image[:, 3]
        indices = corners @ np.linalg.inv(self.to_image[:, :3]).T
        lower = np.clip(np.floor(indices.min(0)), 0, self.shape).astype(int)
        upper = np.clip(np.ceil(indices.max(0)) + 1, 0, self.shape).astype(int)
        return lower, np.maximum(lower, upper)


@dataclass(frozen=True)
class Block:
    """Decoded voxels.

    Args:
        indices: Three (n,) arrays that index the output grid.
        prediction: Logits (n, class) and displacement (n, 3).
    """

    indices: tuple[np.ndarray, ...]
    prediction: PointPrediction


def decode_blocks(encoded: EncodedBox, grid: OutputGrid, block_points: int) -> Iterator[Block]:
    """Decode the voxels of a grid whose centres lie in the encoded box; those outside are not visited."""
    lower, upper = grid.index_range(encoded.box)
    extent = upper - lower
    for start in range(0, int(np.prod(extent)), block_points):
        flat = np.arange(start, min(start + block_points, int(np.prod(extent))))
        indices = np.stack(np.unravel_index(flat, extent), axis=-1) + lower
        points = encoded.box.from_image(grid.positions(indices))
        kept = inside(points)
        if kept.any():
            yield Block(tuple(indices[kept].T), encoded.decode(points[kept]))


def decode_labels(encoded: EncodedBox, grid: OutputGrid, block_points: int) -> np.ndarray:
    """Labels on a grid: (d, h, w) uint8 (uint16 from 255 foreground labels on); background outside the box."""
    labels = np.zeros(grid.shape, np.uint8 if encoded.number_of_classes <= 255 else np.uint16)
    for block in decode_blocks(encoded, grid, block_points):
        labels[block.indices] = block.prediction.logits.argmax(-1).cpu().numpy()
    return labels


def decode_logits(encoded: EncodedBox, grid: OutputGrid, block_points: int) -> np.ndarray:
    """All logits on a grid: (class, d, h, w) float32; classes x volume in memory, for those who ask for it.

    Outside the box every class has -30, background 0: a probability of background of 1 to float32.
    """
    logits = np.full((encoded.number_of_classes, *grid.shape), -30.0, np.float32)
    logits[0] = 0
    for block in decode_blocks(encoded, grid, block_points):
        d, h, w = block.indices
        logits[:, d, h, w] = block.prediction.logits.T.cpu().numpy()
    return logits


def decode_displacement(encoded: EncodedBox, grid: OutputGrid, block_points: int) -> np.ndarray:
    """Displacement on a grid: (d, h, w, 3) float32, (d, h, w) order, in image positions; zero outside the box."""
    field = np.zeros((*grid.shape, 3), np.float32)
    for block in decode_blocks(encoded, grid, block_points):
        field[block.indices] = block.prediction.displacement.cpu().numpy() @ encoded.box.matrix.T.astype(np.float32)
    return field

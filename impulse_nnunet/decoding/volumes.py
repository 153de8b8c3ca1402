"""Labels, logits and displacements of a grid, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from impulse_nnunet.decoding.coarse_to_fine import decode_coarse_to_fine
from impulse_nnunet.decoding.device_volumes import device_displacement, device_labels, device_logits
from impulse_nnunet.decoding.encoded_box import EncodedBox
from impulse_nnunet.decoding.grids import OutputGrid
from impulse_nnunet.decoding.kernels import grid_points, largest_index
from impulse_nnunet.decoding.rows import fits_rows, sweep
from impulse_nnunet.geometry.coordinates import inside

WORTHWHILE = 2  # voxels for each node of the lattice from which on coarse to fine pays
SLAB_VOXELS = 2**22  # of a field that is made at once: 50 MB
ROWS_WORTHWHILE = 0.5  # and from which on multiplying whole planes of the finest level pays


def decode_labels(encoded: EncodedBox, grid: OutputGrid, block_points: int, exact: bool = False) -> np.ndarray:
    """Labels on a grid; background outside the box.

    Args:
        encoded: Encoding of the box.
        grid: To label.
        block_points: Points that are decoded at once.
        exact: Evaluate every voxel, also where the lattice of the finest level decides; a GPU always does.

    Returns:
        (d, h, w) uint8, uint16 from 255 foreground labels on.
    """
    if _on_device(encoded):
        return device_labels(encoded, grid, block_points)
    labels = np.zeros(grid.shape, np.uint8 if encoded.number_of_classes <= 255 else np.uint16)
    lower, upper = grid.index_range(encoded.box)
    fineness = np.prod(upper - lower) / np.prod(encoded.finest_size)
    if not exact and encoded.finest_grid and fineness > WORTHWHILE:
        decode_coarse_to_fine(encoded, grid, labels)
        return labels
    if fineness > ROWS_WORTHWHILE and fits_rows(encoded, grid):
        sweep(encoded, grid, labels, safety=None)
        return labels
    for indices, logits, _ in _blocks(encoded, grid, block_points):
        best = np.empty(len(logits), np.int32)
        largest_index(logits, best)
        labels[indices] = best
    return labels


def decode_logits(encoded: EncodedBox, grid: OutputGrid, block_points: int) -> np.ndarray:
    """All logits on a grid: (class, d, h, w) float32; classes x volume in memory, for those who ask for it.

    Outside the box every class has -30, background 0: a probability of background of 1 to float32.
    """
    if _on_device(encoded):
        return device_logits(encoded, grid, block_points)
    result = np.full((encoded.number_of_classes, *grid.shape), -30.0, np.float32)
    result[0] = 0
    for (d, h, w), logits, _ in _blocks(encoded, grid, block_points):
        result[:, d, h, w] = logits.T
    return result


def decode_displacement(encoded: EncodedBox, grid: OutputGrid, block_points: int) -> np.ndarray:
    """Displacement on a grid: (d, h, w, 3) float32, (d, h, w) order, in image positions; zero outside the box."""
    if _on_device(encoded):
        return device_displacement(encoded, grid, block_points)
    field = np.zeros((*grid.shape, 3), np.float32)
    for indices, _, displacement in _blocks(encoded, grid, block_points):
        field[indices] = displacement @ encoded.box.matrix.T.astype(np.float32)
    return field


def displacement_slabs(encoded: EncodedBox, grid: OutputGrid, block_points: int) -> Iterator[tuple[int, np.ndarray]]:
    """:func:`decode_displacement` in slabs of some planes, for fields that need not fit in memory.

    Args:
        encoded: Of the box.
        grid: Of the field.
        block_points: Points that are decoded at once.

    Yields:
        First plane, and (n, h, w, 3) float32.
    """
    depth, height, width = grid.shape
    planes = max(1, SLAB_VOXELS // (height * width))
    for first in range(0, depth, planes):
        yield first, decode_displacement(encoded, grid.planes(first, min(first + planes, depth)), block_points)


def _on_device(encoded: EncodedBox) -> bool:
    """Whether volumes are decoded where the box is; plain evaluation, to compare with, goes point by point."""
    return not encoded.on_cpu and not encoded.plain


Block = tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]


def _blocks(encoded: EncodedBox, grid: OutputGrid, block_points: int) -> Iterator[Block]:
    """Indices, logits and displacement of the voxels whose centres lie in the box; the others are not visited."""
    lower, upper = grid.index_range(encoded.box)
    extent, to_box = upper - lower, grid.to_box(encoded.box)
    total = int(np.prod(extent))
    with encoded.workers() as share:
        for start in range(0, total, block_points):
            points = np.empty((min(block_points, total - start), 3), np.float64)
            grid_points(start, lower, extent, to_box, points)
            kept = np.flatnonzero(inside(points))
            if not len(kept):
                continue
            chosen = points[kept].astype(np.float32)
            logits = np.empty((len(kept), encoded.number_of_classes), np.float32)
            displacement = np.empty((len(kept), 3), np.float32)

            share(partial(_evaluate_part, encoded, chosen, logits, displacement), -(-len(kept) // encoded.batch))
            indices = np.unravel_index(kept + start, extent)
            yield tuple(i + low for i, low in zip(indices, lower, strict=True)), logits, displacement


def _evaluate_part(
    encoded: EncodedBox, points: np.ndarray, logits: np.ndarray, displacement: np.ndarray, batch: int
) -> None:
    part = slice(batch * encoded.batch, (batch + 1) * encoded.batch)
    logits[part], displacement[part] = encoded.evaluate(points[part])

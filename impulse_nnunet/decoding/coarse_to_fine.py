"""Labels of a fine grid from few evaluations (derivation and error bound in docs/decoding.md).

The logits are evaluated on the lattice of the pyramid's finest level. Between its nodes they are nearly tri-linear; how
far a lead of one class over another can be off shows in its second differences, here called bends. A cell in which one
class wins by more than that at every node needs no evaluation; in the others a voxel whose interpolated winner leads by
more than that needs none either. The rest is evaluated.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from impulse_nnunet.decoding.encoded_box import EncodedBox, Share
from impulse_nnunet.decoding.grids import OutputGrid
from impulse_nnunet.decoding.kernels import grid_points, label_voxels, largest_index
from impulse_nnunet.decoding.row_kernels import bend_plane, settle_row
from impulse_nnunet.decoding.rows import fits_rows, sweep

SAFETY = 0.5  # an error of one kink in a cell is at most half its second difference
SLABS = 16  # parts of the grid that the threads share

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """Logits at the nodes of a lattice: the voxel centres of a grid over the box.

    Args:
        size: (3,) nodes along each axis.
        logits: (node, class) float32.
        bends: (node, axis, class) float32, see :func:`~impulse_nnunet.decoding.row_kernels.settle_row`.
        settled: (node,) the class that wins in the whole cell above the node, or -1.
    """

    size: np.ndarray
    logits: np.ndarray
    bends: np.ndarray
    settled: np.ndarray


def decode_coarse_to_fine(encoded: EncodedBox, grid: OutputGrid, labels: np.ndarray, safety: float = SAFETY) -> float:
    """Label the voxels of a grid that lie in the encoded box.

    Args:
        encoded: Encoding of the box.
        grid: To label.
        labels: (d, h, w) unsigned, receives the labels; voxels outside the box are left alone.
        safety: Share of the bends that interpolation may be wrong by.

    Returns:
        Evaluated points, those of the lattice included, as a share of the voxels in the box's range.
    """
    if fits_rows(encoded, grid):
        evaluated = sweep(encoded, grid, labels, safety)
    else:
        evaluated = _decode_from_whole_lattice(encoded, grid, labels, safety)
    logger.debug("coarse to fine: points evaluated for each voxel: %.3f", evaluated)
    return evaluated


def _decode_from_whole_lattice(encoded: EncodedBox, grid: OutputGrid, labels: np.ndarray, safety: float) -> float:
    """For grids that are turned against the box, and for points that do not come in rows."""
    lower, upper = grid.index_range(encoded.box)
    number = int(np.prod(upper - lower))
    if number == 0:
        return 0.0
    with encoded.workers() as share:
        lattice = evaluate_lattice(encoded, share, safety)
        pending = _label_from(lattice, grid, encoded, labels, lower, upper, share, safety)
        evaluate_voxels(encoded, grid, pending, labels, share)
    return (len(lattice.settled) + len(pending)) / number


def evaluate_lattice(encoded: EncodedBox, share: Share, safety: float = SAFETY) -> Lattice:
    """Evaluate the nodes and find the settled cells."""
    size = np.asarray(encoded.finest_size, np.int64)
    nodes, classes = int(np.prod(size)), encoded.number_of_classes
    logits = np.empty((nodes, classes), np.float32)
    labels, settled = np.empty(nodes, np.int32), np.empty(nodes, np.int32)
    bends = np.empty((nodes, 3, classes), np.float32)
    native = OutputGrid.native(encoded.finest_size)
    depth, height = int(size[0]), int(size[1])

    def evaluate(batch: int) -> None:
        first, last = batch * encoded.batch, min((batch + 1) * encoded.batch, nodes)
        points = np.empty((last - first, 3), np.float32)
        grid_points(first, np.zeros(3, np.int64), size, native.to_image, points)
        logits[first:last] = encoded.evaluate(points)[0]
        largest_index(logits[first:last], labels[first:last])

    share(evaluate, -(-nodes // encoded.batch))
    share(lambda z: bend_plane(logits, labels, size, depth, z, bends), depth)
    share(lambda y: settle_row(logits, bends, labels, classes, size, depth, y, 0, depth, safety, settled), height)
    return Lattice(size=size, logits=logits, bends=bends, settled=settled)


def evaluate_voxels(
    encoded: EncodedBox, grid: OutputGrid, places: np.ndarray, labels: np.ndarray, share: Share
) -> None:
    """Evaluate voxels, flat indices of the grid, and write their labels."""
    to_box, flat = grid.to_box(encoded.box), labels.reshape(-1)

    def evaluate(batch: int) -> None:
        chosen = places[batch * encoded.batch : (batch + 1) * encoded.batch]
        indices = np.stack(np.unravel_index(chosen, grid.shape), axis=-1)
        points = (indices @ to_box[:, :3].T + to_box[:, 3]).astype(np.float32)
        best = np.empty(len(chosen), np.int32)
        largest_index(encoded.evaluate(points)[0], best)
        flat[chosen] = best

    share(evaluate, -(-len(places) // encoded.batch))


def _label_from(
    lattice: Lattice,
    grid: OutputGrid,
    encoded: EncodedBox,
    labels: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    share: Share,
    safety: float,
) -> np.ndarray:
    edges = np.linspace(lower[0], upper[0], min(SLABS, int(upper[0] - lower[0])) + 1).astype(np.int64)
    to_box, classes = grid.to_box(encoded.box), encoded.number_of_classes
    pending: list[np.ndarray] = [np.empty(0, np.int64)] * (len(edges) - 1)

    def label(slab: int) -> None:
        first = np.array([edges[slab], lower[1], lower[2]], np.int64)
        last = np.array([edges[slab + 1], upper[1], upper[2]], np.int64)
        places = np.empty(int(np.prod(last - first)) // 4 + 1, np.int64)
        known = (lattice.logits, lattice.bends, lattice.settled, classes, lattice.size)
        while (found := label_voxels(*known, safety, to_box, first, last, labels, places)) > len(places):
            places = np.empty(found, np.int64)
        pending[slab] = places[:found].copy()

    share(label, len(pending))
    return np.concatenate(pending)

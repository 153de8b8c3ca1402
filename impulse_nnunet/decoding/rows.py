"""Labels of an upright grid, in one sweep over the planes of the pyramid's finest level (docs/decoding.md, "Rows").

A few planes at a time are multiplied by the heads' first layers, the lattice's nodes on them are evaluated, and the
output voxels between them are labelled, so that neither the lattice nor the finest level's products are ever whole in
memory.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from impulse_nnunet.decoding.encoded_box import EncodedBox, Share
from impulse_nnunet.decoding.folded import FoldedPoints, RowTables
from impulse_nnunet.decoding.grids import OutputGrid
from impulse_nnunet.decoding.kernels import largest_index
from impulse_nnunet.decoding.row_kernels import bend_plane, label_rows, settle_row
from impulse_nnunet.geometry.boxes import Box

PLANES = 8  # of the lattice that are treated at once
KEPT = 2  # planes below them that their bends and the voxels in between still need
BATCH = 1024  # voxels that a thread evaluates at once: their hidden values fit in its cache
PARTS = 4  # of each plane's voxels that the threads share


def fits_rows(encoded: EncodedBox, grid: OutputGrid) -> bool:
    """Whether the grid's axes are those of the box, and every fold is folded on the CPU."""
    linear = grid.to_box(encoded.box)[:, :3]
    upright = np.count_nonzero(linear - np.diag(np.diag(linear))) == 0 and np.all(np.diag(linear) > 0)
    return bool(upright) and all(isinstance(member, FoldedPoints) for member in encoded.members)


def sweep(encoded: EncodedBox, grid: OutputGrid, labels: np.ndarray, safety: float | None) -> float:
    """Label the voxels of an upright grid that lie in the encoded box.

    Args:
        encoded: Encoding of the box; see :func:`fits_rows`.
        grid: To label.
        labels: (d, h, w) unsigned, receives the labels; voxels outside the box are left alone.
        safety: Share of the bends that interpolation may be wrong by; None evaluates every voxel.

    Returns:
        Evaluated points, those of the lattice included, as a share of the voxels in the box.
    """
    with encoded.workers() as share:
        work = _Sweep(encoded, grid, labels, share, safety)
        if work.empty:
            return 0.0
        done = 0
        for first in range(0, work.depth, PLANES):
            last = min(first + PLANES, work.depth)
            work.multiply(first, last)
            if safety is not None:
                work.bend(last)
            ready = work.depth if last == work.depth else max(0, last - KEPT)
            if safety is not None:
                work.settle(done, ready)
            work.label(done, ready)
            done = ready
    return work.evaluated / max(1, work.voxels)


class _Sweep:
    """Window and tables of one sweep."""

    def __init__(
        self, encoded: EncodedBox, grid: OutputGrid, labels: np.ndarray, share: Share, safety: float | None
    ) -> None:
        self.members = [member for member in encoded.members if isinstance(member, FoldedPoints)]
        self.labels, self.share = labels, share
        self.exact, self.safety = safety is None, safety or 0.0
        self.voxels = 0
        self.size = np.asarray(encoded.finest_size, np.int64)
        self.depth, self.plane = int(self.size[0]), int(self.size[1] * self.size[2])
        self.capacity = min(self.depth, PLANES + KEPT)
        self.classes = encoded.number_of_classes
        sizes = self.members[0].level_sizes
        self.lower, self.upper = _inside_range(grid, encoded.box)
        self.tables = RowTables.of(grid, encoded.box, sizes, self.upper)
        self.nodes = RowTables.of(OutputGrid.native(encoded.finest_size), Box.whole(), sizes, self.size)
        self.windows = [member.window(self.capacity) for member in self.members]
        held, padded = self.capacity * self.plane, self.members[0].padded_classes
        self.logits = np.zeros((held, padded), np.float32)
        self.bends = np.zeros((held, 3, padded), np.float32)
        self.best, self.settled = np.zeros(held, np.int32), np.zeros(held, np.int32)
        self.evaluated = 0 if safety is None else self.depth * self.plane
        self.bent = 0  # planes whose bends are known

    @property
    def empty(self) -> bool:
        """No voxel lies in the box."""
        return bool(np.any(self.upper <= self.lower))

    def multiply(self, first: int, last: int) -> None:
        """Apply the first layers to planes of the finest level and, where a lattice is wanted, evaluate its nodes."""
        self.share(partial(self._multiply, first), (last - first) * -(-self.plane // BATCH))

    def bend(self, last: int) -> None:
        """The bends of the planes whose neighbours, below ``last``, are known."""
        known = self.depth if last == self.depth else last - 1
        self.share(partial(self._bend, self.bent), known - self.bent)
        self.bent = known

    def settle(self, first: int, last: int) -> None:
        """Find the settled cells above these planes."""
        if last > first:
            self.share(partial(self._settle, first, last), int(self.size[1]))

    def label(self, first: int, last: int) -> None:
        """Label the output planes whose lower node is one of these planes."""
        lower_node = self.tables.nodes[0, 0, self.lower[0] : self.upper[0]]
        planes = np.flatnonzero((lower_node >= first) & (lower_node < last)) + self.lower[0]
        if not len(planes):
            return
        low, high = np.array([planes[0], *self.lower[1:]]), np.array([planes[-1] + 1, *self.upper[1:]])
        self.voxels += int(np.prod(high - low))
        if self.exact:
            for plane in planes:
                self._evaluate(_all_places(plane, self.lower, self.upper, self.labels.shape))
            return
        edges = np.linspace(low[1], high[1], PARTS + 1).astype(np.int64)
        found: list[np.ndarray] = [np.empty(0, np.int64)] * (len(planes) * PARTS)
        self.share(partial(self._label_part, planes, edges, found), len(found))
        self._evaluate(np.concatenate(found))

    def _evaluate(self, places: np.ndarray) -> None:
        self.evaluated += len(places)
        self.share(partial(self._evaluate_voxels, places), -(-len(places) // BATCH))

    def _mean(self, chosen: np.ndarray, tables: RowTables) -> np.ndarray:
        logits = self.members[0].evaluate_rows(chosen, tables, self.windows[0])
        for member, window in zip(self.members[1:], self.windows[1:], strict=True):
            logits += member.evaluate_rows(chosen, tables, window)
        return logits if len(self.members) == 1 else logits / np.float32(len(self.members))

    def _multiply(self, first: int, batch: int) -> None:
        plane, start = divmod(batch, -(-self.plane // BATCH))
        z, start = first + plane, start * BATCH
        stop = min(start + BATCH, self.plane)
        for member, window in zip(self.members, self.windows, strict=True):
            member.project(z, start, stop, window)
        if not self.exact:
            chosen = np.arange(z * self.plane + start, z * self.plane + stop)
            place = z % self.capacity * self.plane
            logits = self._mean(chosen, self.nodes)
            self.logits[place + start : place + stop] = logits
            largest_index(logits[:, : self.classes], self.best[place + start : place + stop])

    def _evaluate_voxels(self, places: np.ndarray, batch: int) -> None:
        chosen = places[batch * BATCH : (batch + 1) * BATCH]
        best = np.empty(len(chosen), np.int32)
        largest_index(self._mean(chosen, self.tables)[:, : self.classes], best)
        self.labels.reshape(-1)[chosen] = best

    def _bend(self, first: int, number: int) -> None:
        bend_plane(self.logits, self.best, self.size, self.capacity, first + number, self.bends)

    def _settle(self, first: int, last: int, row: int) -> None:
        settle_row(
            self.logits,
            self.bends,
            self.best,
            self.classes,
            self.size,
            self.capacity,
            row,
            first,
            last,
            self.safety,
            self.settled,
        )

    def _label_part(self, planes: np.ndarray, edges: np.ndarray, found: list[np.ndarray], part: int) -> None:
        z, band = int(planes[part // PARTS]), part % PARTS
        lower = np.array([z, edges[band], self.lower[2]], np.int64)
        upper = np.array([z + 1, edges[band + 1], self.upper[2]], np.int64)
        pending = np.empty(int(np.prod(upper - lower)), np.int64)
        tables = self.tables
        number = label_rows(
            self.logits,
            self.bends,
            self.settled,
            self.classes,
            self.size,
            self.capacity,
            self.safety,
            tables.nodes[0],
            tables.shares[0],
            tables.between,
            lower,
            upper,
            self.labels,
            pending,
        )
        found[part] = pending[:number].copy()


def _inside_range(grid: OutputGrid, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """First (included) and last (excluded) index of an upright grid whose centres lie in a box."""
    to_box = grid.to_box(box)
    lower, upper = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for axis, length in enumerate(grid.shape):
        within = np.flatnonzero(np.abs(to_box[axis, axis] * np.arange(length) + to_box[axis, 3]) <= 1)
        lower[axis], upper[axis] = (within[0], within[-1] + 1) if len(within) else (0, 0)
    return lower, upper


def _all_places(plane: int, lower: np.ndarray, upper: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    rows = (plane * shape[1] + np.arange(lower[1], upper[1])) * shape[2]
    return (rows[:, None] + np.arange(lower[2], upper[2])).reshape(-1)

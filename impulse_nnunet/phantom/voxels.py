"""Lobes and segments on an image's grid, and the cleaning of segments into one piece each."""

from __future__ import annotations

import numba
import numpy as np

from impulse_nnunet.lungs.anatomy import LOBES
from impulse_nnunet.phantom import fields as f
from impulse_nnunet.phantom.compiled import compiled, parallel
from impulse_nnunet.phantom.grids import Grid
from impulse_nnunet.phantom.lobes import MIDLINE_MM

FIRST_SEGMENT = np.array([0, *(parts[0] for parts in LOBES.values())])
LAST_SEGMENT = np.array([0, *(parts[-1] for parts in LOBES.values())])


def lattice_positions(grid: Grid, working: Grid, axis: int) -> np.ndarray:
    """Position of each of the grid's voxels along an axis, in voxels of the working grid, clipped to it."""
    place = grid.first_mm[axis] + np.arange(grid.size[axis]) * grid.spacing_mm[axis]
    raw = (place - working.first_mm[axis]) / working.spacing_mm[axis]
    return np.asarray(np.clip(raw, 0, working.size[axis] - 1.001))


def paint_segments(body: np.ndarray, membership: np.ndarray, working: Grid, grid: Grid) -> np.ndarray:
    """The segment of every voxel, by linear interpolation of the fields.

    Args:
        body: (d, h, w, field) on the working grid.
        membership: (d, h, w, 18) on the working grid.
        working: The working grid.
        grid: Grid of the result.

    Returns:
        (d, h, w) uint8, 0 outside the lungs.
    """
    out = np.zeros(grid.size, np.uint8)
    chosen = np.ascontiguousarray(body[..., [f.LUNG, f.SIDE, f.OBLIQUE, f.HORIZONTAL]])
    places = [lattice_positions(grid, working, axis) for axis in range(3)]
    _paint(out, chosen, membership, *places)
    return out


@compiled
def interpolate_row(volume: np.ndarray, z: float, y: float, row: np.ndarray) -> None:
    """Fill a row (w, field) of a volume (d, h, w, field) by linear interpolation along d and h."""
    k, j = int(z), int(y)
    a, b = z - k, y - j
    w00, w01, w10, w11 = (1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b
    for i in range(row.shape[0]):
        for n in range(row.shape[1]):
            row[i, n] = (
                w00 * volume[k, j, i, n]
                + w01 * volume[k, j + 1, i, n]
                + w10 * volume[k + 1, j, i, n]
                + w11 * volume[k + 1, j + 1, i, n]
            )


@parallel
def _paint(
    out: np.ndarray, body: np.ndarray, membership: np.ndarray, z: np.ndarray, y: np.ndarray, x: np.ndarray
) -> None:
    for k in numba.prange(out.shape[0]):
        row = np.empty((body.shape[2], 4))
        members = np.empty((body.shape[2], 18))
        for j in range(out.shape[1]):
            interpolate_row(body, z[k], y[j], row)
            if row[:, 0].max() <= 0:
                continue
            interpolate_row(membership, z[k], y[j], members)
            for i in range(out.shape[2]):
                out[k, j, i] = _segment_at(row, members, x[i])


@compiled
def _segment_at(row: np.ndarray, members: np.ndarray, x: float) -> int:
    left = int(x)
    b = x - left
    a = 1.0 - b
    if a * row[left, 0] + b * row[left + 1, 0] <= 0:
        return 0
    lower = a * row[left, 2] + b * row[left + 1, 2] > 0
    if a * row[left, 1] + b * row[left + 1, 1] < MIDLINE_MM:
        middle = a * row[left, 3] + b * row[left + 1, 3] > 0
        lobe = 3 if lower else (2 if middle else 1)
    else:
        lobe = 5 if lower else 4
    best, label = 0.0, 0
    for n in range(FIRST_SEGMENT[lobe] - 1, LAST_SEGMENT[lobe]):
        value = a * members[left, n] + b * members[left + 1, n]
        if value > best:
            best, label = value, n + 1
    return label


def join_pieces(labels: np.ndarray) -> int:
    """Give all but the largest 26-connected piece of each label to a neighbouring label, in place.

    Args:
        labels: (d, h, w) uint8; voxels without a labelled neighbour become 0.

    Returns:
        How many voxels changed.
    """
    flat = labels.reshape(-1)
    stray = stray_places(labels)
    changed = len(stray)
    while len(stray):
        held = flat[stray].copy()
        flat[stray] = 0
        found = _labels_of_neighbours(labels, stray, held)
        flat[stray] = found
        left = stray[found == 0]
        if len(left) == len(stray):
            break
        stray = left
    return changed


def neighbours_of(places: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Flat places of all voxels within one voxel, along each axis, of some places that are not on the image's faces."""
    _, height, width = shape
    steps = [(a * height + b) * width + c for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)]
    return np.unique(places[:, None] + np.array(steps))


@compiled
def stray_places(labels: np.ndarray) -> np.ndarray:
    """Flat places of the voxels that are not in the largest 26-connected piece of their label, ascending."""
    flat = labels.reshape(-1)
    piece = np.zeros(flat.size, np.uint8)  # 1: seen, 2: in the largest piece
    size, seed = np.zeros(256, np.int64), np.zeros(256, np.int64)
    queue = np.empty(max(1, (flat > 0).sum()), np.int64)
    for place in range(flat.size):
        if flat[place] > 0 and piece[place] == 0:
            count = _flood(labels, piece, place, 1, queue)
            if count > size[flat[place]]:
                size[flat[place]], seed[flat[place]] = count, place
    for label in range(1, 256):
        if size[label] > 0:
            _flood(labels, piece, seed[label], 2, queue)
    return np.flatnonzero((flat > 0) & (piece == 1))


@compiled
def _flood(labels: np.ndarray, piece: np.ndarray, start: int, mark: int, queue: np.ndarray) -> int:
    depth, height, width = labels.shape
    flat = labels.reshape(-1)
    label = flat[start]
    queue[0], first, last = start, 0, 1
    piece[start] = mark
    while first < last:
        place = queue[first]
        first += 1
        z, y, x = place // (height * width), place // width % height, place % width
        for a in range(max(0, z - 1), min(depth, z + 2)):
            for b in range(max(0, y - 1), min(height, y + 2)):
                for c in range(max(0, x - 1), min(width, x + 2)):
                    other = (a * height + b) * width + c
                    if flat[other] == label and piece[other] < mark:
                        piece[other] = mark
                        queue[last] = other
                        last += 1
    return last


@compiled
def _labels_of_neighbours(labels: np.ndarray, places: np.ndarray, held: np.ndarray) -> np.ndarray:
    """The most frequent label, other than the one that was held, among each place's 26 neighbours; 0 for none."""
    depth, height, width = labels.shape
    out = np.zeros(places.size, labels.dtype)
    count = np.zeros(256, np.int64)
    for n in range(places.size):
        place = places[n]
        z, y, x = place // (height * width), place // width % height, place % width
        count[:] = 0
        for a in range(max(0, z - 1), min(depth, z + 2)):
            for b in range(max(0, y - 1), min(height, y + 2)):
                for c in range(max(0, x - 1), min(width, x + 2)):
                    count[labels[a, b, c]] += 1
        count[0] = 0
        count[held[n]] = 0
        if count.max() > 0:
            out[n] = np.argmax(count)
    return out

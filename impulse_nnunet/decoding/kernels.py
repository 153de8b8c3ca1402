"""Compiled loops of the decoder: interpolation, the heads' activation, and the choice of voxels to evaluate.

Volumes come with channels last and their three axes flattened, (d * h * w, channel) float32; points are (n, 3) float32
box positions in (d, h, w) order, -1 and 1 at the faces. The loops need no lock, so that threads can share the work.
"""

from __future__ import annotations

import numba
import numpy as np

# Sums may be reordered and multiply-adds fused, which the vector units need; NaN and infinity keep their meaning.
compiled = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz", "arcp"})


@compiled
def corners(
    z: float, y: float, x: float, depth: int, height: int, width: int, places: np.ndarray, weights: np.ndarray
) -> None:
    """The eight voxels around a position and their tri-linear weights; outside, the border is repeated.

    A position that is not a number gets voxels too, with weights that are none either.
    """
    cz = min(max(((z + 1) * depth - 1) * 0.5, 0.0), depth - 1.0)
    cy = min(max(((y + 1) * height - 1) * 0.5, 0.0), height - 1.0)
    cx = min(max(((x + 1) * width - 1) * 0.5, 0.0), width - 1.0)
    z0 = max(min(int(cz), depth - 2), 0)
    y0 = max(min(int(cy), height - 2), 0)
    x0 = max(min(int(cx), width - 2), 0)
    z1, y1, x1 = min(z0 + 1, depth - 1), min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    fz, fy, fx = cz - z0, cy - y0, cx - x0
    for corner in range(8):
        iz, wz = (z1, fz) if corner & 4 else (z0, 1 - fz)
        iy, wy = (y1, fy) if corner & 2 else (y0, 1 - fy)
        ix, wx = (x1, fx) if corner & 1 else (x0, 1 - fx)
        places[corner] = (iz * height + iy) * width + ix
        weights[corner] = wz * wy * wx


@compiled
def add_interpolated(
    volume: np.ndarray, depth: int, height: int, width: int, points: np.ndarray, result: np.ndarray
) -> None:
    """Add the tri-linear values of a volume at points to ``result`` (n, channel)."""
    places, w = np.empty(8, np.int64), np.empty(8, np.float32)
    for p in range(points.shape[0]):
        corners(points[p, 0], points[p, 1], points[p, 2], depth, height, width, places, w)
        v0, v1, v2, v3 = volume[places[0]], volume[places[1]], volume[places[2]], volume[places[3]]
        v4, v5, v6, v7 = volume[places[4]], volume[places[5]], volume[places[6]], volume[places[7]]
        w0, w1, w2, w3, w4, w5, w6, w7 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
        values = result[p]
        for c in range(volume.shape[1]):
            values[c] += (
                w0 * v0[c] + w1 * v1[c] + w2 * v2[c] + w3 * v3[c] + w4 * v4[c] + w5 * v5[c] + w6 * v6[c] + w7 * v7[c]
            )


@compiled
def activate(hidden: np.ndarray, norms: np.ndarray, eps: float, slope: float, result: np.ndarray) -> None:
    """Normalise the hidden layer and the shortcut of each head, apply the LeakyReLU to the first, add both.

    Args:
        hidden: (n, head * 2 * width), for each head the hidden layer and the shortcut, their means already zero.
        norms: (head, 4, width): scale and shift of the hidden layer's norm, then of the shortcut's.
        eps: Epsilon of the norms.
        slope: Slope of the LeakyReLU.
        result: Receives (head, n, width).
    """
    width, eps, slope = norms.shape[2], np.float32(eps), np.float32(slope)
    for p in range(hidden.shape[0]):
        row = hidden[p]
        for head in range(norms.shape[0]):
            first, second = 2 * head * width, (2 * head + 1) * width
            square, square2 = np.float32(0), np.float32(0)
            for j in range(width):
                square += row[first + j] * row[first + j]
                square2 += row[second + j] * row[second + j]
            inverse = np.float32(1) / np.sqrt(square / np.float32(width) + eps)
            inverse2 = np.float32(1) / np.sqrt(square2 / np.float32(width) + eps)
            values, norm = result[head, p], norms[head]
            for j in range(width):  # max() would keep the loop from the vector units
                value = row[first + j] * inverse * norm[0, j] + norm[1, j]
                positive = value if value > 0 else slope * value
                values[j] = positive + row[second + j] * inverse2 * norm[2, j] + norm[3, j]


@compiled
def grid_points(first: int, lower: np.ndarray, extent: np.ndarray, to_box: np.ndarray, points: np.ndarray) -> None:
    """Box positions of consecutive voxels of a part of a grid.

    Args:
        first: Flat index, within the part, of the first voxel.
        lower: (3,) where the part starts in the grid.
        extent: (3,) its size.
        to_box: (3, 4) from indices of the grid to box positions.
        points: Receives (n, 3).
    """
    for p in range(points.shape[0]):
        flat = first + p
        x = flat % extent[2] + lower[2]
        y = flat // extent[2] % extent[1] + lower[1]
        z = flat // (extent[2] * extent[1]) + lower[0]
        for axis in range(3):
            points[p, axis] = to_box[axis, 0] * z + to_box[axis, 1] * y + to_box[axis, 2] * x + to_box[axis, 3]


@compiled
def largest(row: np.ndarray) -> int:
    """Index of the largest value, the first of equals."""
    best = 0
    for c in range(1, row.shape[0]):
        if row[c] > row[best]:
            best = c
    return best


@compiled
def largest_index(values: np.ndarray, result: np.ndarray) -> None:
    """Index of the largest of each row, the first of equals."""
    for p in range(values.shape[0]):
        result[p] = largest(values[p])


@compiled
def weighted_sum(rows: np.ndarray, places: np.ndarray, weights: np.ndarray, result: np.ndarray) -> None:
    """Write the weighted sum of eight rows to ``result``."""
    result[:] = 0
    for corner in range(8):
        row, weight = rows[places[corner]], weights[corner]
        for c in range(result.shape[0]):
            result[c] += weight * row[c]


@compiled
def leads(
    values: np.ndarray, bends: np.ndarray, best: int, classes: int, off_z: float, off_y: float, off_x: float
) -> bool:
    """Whether a class beats every other by more than interpolation can be wrong.

    Args:
        values: (class,) interpolated logits.
        bends: (axis, class) largest bends of the cell.
        best: The class.
        classes: Without those that fill up the rows.
        off_z: Share of the bends along the first axis that the error may reach.
        off_y: Along the second.
        off_x: Along the third.
    """
    z, y, x = np.float32(off_z), np.float32(off_y), np.float32(off_x)
    lead, wins = values[best] - z * bends[0, best] - y * bends[1, best] - x * bends[2, best], True
    for c in range(classes):
        wins &= c == best or lead > values[c] + z * bends[0, c] + y * bends[1, c] + x * bends[2, c]
    return wins


@compiled
def beside(share: float) -> float:
    """Distance to the nearer of two nodes, of a place between them."""
    return min(share, 1 - share)


@compiled
def label_voxels(
    logits: np.ndarray,
    bends: np.ndarray,
    settled: np.ndarray,
    classes: int,
    size: np.ndarray,
    safety: float,
    to_box: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    labels: np.ndarray,
    pending: np.ndarray,
) -> int:
    """Label the voxels of a part of a grid from the lattice, as far as the lattice decides.

    Args:
        logits: (node, class) of the lattice.
        bends: (node, axis, class), largest of each cell.
        settled: (node,) class of the cell, or -1.
        classes: Without those that fill up the rows.
        size: (3,) nodes along each axis.
        safety: Share of the bends that the error may reach in the middle between two nodes.
        to_box: (3, 4) from indices of the grid to box positions.
        lower: (3,) first voxel of the part.
        upper: (3,) last, excluded.
        labels: (d, h, w) of the whole grid, receives the labels; voxels outside the box are left alone.
        pending: Receives the flat indices, in the grid, of the voxels that the lattice does not decide.

    Returns:
        Their number, also where ``pending`` is too short.
    """
    places, weights = np.empty(8, np.int64), np.empty(8, np.float32)
    values = np.empty(logits.shape[1], np.float32)
    half = size / 2.0
    top = size - 1.0
    found = 0
    for z in range(lower[0], upper[0]):
        for y in range(lower[1], upper[1]):
            for x in range(lower[2], upper[2]):
                pz = to_box[0, 0] * z + to_box[0, 1] * y + to_box[0, 2] * x + to_box[0, 3]
                py = to_box[1, 0] * z + to_box[1, 1] * y + to_box[1, 2] * x + to_box[1, 3]
                px = to_box[2, 0] * z + to_box[2, 1] * y + to_box[2, 2] * x + to_box[2, 3]
                if not (abs(pz) <= 1 and abs(py) <= 1 and abs(px) <= 1):
                    continue
                cz, cy, cx = (pz + 1) * half[0] - 0.5, (py + 1) * half[1] - 0.5, (px + 1) * half[2] - 0.5
                iz = min(max(int(cz), 0), max(size[0] - 2, 0))
                iy = min(max(int(cy), 0), max(size[1] - 2, 0))
                ix = min(max(int(cx), 0), max(size[2] - 2, 0))
                cell = (iz * size[1] + iy) * size[2] + ix
                label = settled[cell]
                if label >= 0:
                    labels[z, y, x] = label
                    continue
                within = cz >= 0 and cy >= 0 and cx >= 0 and cz <= top[0] and cy <= top[1] and cx <= top[2]
                if within:
                    corners(pz, py, px, size[0], size[1], size[2], places, weights)
                    weighted_sum(logits, places, weights, values)
                    best = largest(values[:classes])
                    off_z, off_y, off_x = beside(cz - iz), beside(cy - iy), beside(cx - ix)
                    twice = 2 * safety
                    if leads(values, bends[cell], best, classes, twice * off_z, twice * off_y, twice * off_x):
                        labels[z, y, x] = best
                        continue
                if found < pending.size:
                    pending[found] = (z * labels.shape[1] + y) * labels.shape[2] + x
                found += 1
    return found

"""Compiled loops over voxels; everything else in this package is plain NumPy.

Label maps come padded with background, C-contiguous, as class indices 0 to n (0 is background); places are flat indices
into the padded array.
"""

from __future__ import annotations

import numba
import numpy as np

compiled = numba.njit(cache=True, nogil=True)


@compiled
def joint_histogram(first: np.ndarray, second: np.ndarray, counts: np.ndarray) -> None:
    """Add one to ``counts[first[i], second[i]]`` for every i; both flat, values within ``counts``."""
    for i in range(first.size):
        counts[first[i], second[i]] += 1


@compiled
def occurring_values(values: np.ndarray, occurs: np.ndarray) -> None:
    """Set ``occurs[v]`` for every v in the flat, unsigned ``values``."""
    for i in range(values.size):
        occurs[values[i]] = True


@compiled
def nonzero_bounds(labels: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> None:
    """Widen ``lower`` (first) and ``upper`` (last + 1) so that they hold every non-zero voxel of (d, h, w) labels."""
    depth, height, width = labels.shape
    for z in range(depth):
        for y in range(height):
            row = labels[z, y]
            first = 0
            while first < width and row[first] == 0:
                first += 1
            if first == width:
                continue
            last = width - 1
            while row[last] == 0:
                last -= 1
            lower[0], upper[0] = min(lower[0], z), max(upper[0], z + 1)
            lower[1], upper[1] = min(lower[1], y), max(upper[1], y + 1)
            lower[2], upper[2] = min(lower[2], first), max(upper[2], last + 1)


@compiled
def surface_voxels(labels: np.ndarray, places: np.ndarray, interface: bool) -> int:
    """Find foreground voxels with a 6-neighbour of another label.

    Args:
        labels: Padded (d, h, w), zero on its faces.
        places: Receives the flat places as far as it is long, in ascending order.
        interface: Count only neighbours that are foreground themselves.

    Returns:
        The number of surface voxels, also where ``places`` is too short.
    """
    depth, height, width = labels.shape
    found = 0
    for z in range(1, depth - 1):
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                label = labels[z, y, x]
                if label == 0:
                    continue
                differs = False
                for neighbour in (
                    labels[z, y, x - 1],
                    labels[z, y, x + 1],
                    labels[z, y - 1, x],
                    labels[z, y + 1, x],
                    labels[z - 1, y, x],
                    labels[z + 1, y, x],
                ):
                    if neighbour != label and not (interface and neighbour == 0):
                        differs = True
                if differs:
                    if found < places.size:
                        places[found] = (z * height + y) * width + x
                    found += 1
    return found


@compiled
def corners_alike(corners: np.ndarray, first: int) -> int:
    """Bits of the corners of corner ``first``'s class; 0 for background and for a class that an earlier corner has."""
    label, code = corners[first], 0
    if label == 0:
        return 0
    for corner in range(8):
        if corners[corner] == label:
            if corner < first:
                return 0
            code |= 1 << corner
    return code


@compiled
def surface_cells(labels: np.ndarray, places: np.ndarray, classes: np.ndarray, codes: np.ndarray) -> int:
    """Find the 2 x 2 x 2 cells that a surface passes, once for every class in them.

    Args:
        labels: Padded (d, h, w), zero on its faces.
        places: Receives the flat place of a cell's first voxel, as far as it is long.
        classes: Receives the class.
        codes: Receives the corners inside the class, bit 4 dz + 2 dy + dx.

    Returns:
        The number of pairs of cell and class, also where the arrays are too short.
    """
    depth, height, width = labels.shape
    corners = np.zeros(8, labels.dtype)
    found = 0
    for z in range(depth - 1):
        for y in range(height - 1):
            for x in range(width - 1):
                label = labels[z, y, x]
                if (
                    labels[z, y, x + 1] == label
                    and labels[z, y + 1, x] == label
                    and labels[z, y + 1, x + 1] == label
                    and labels[z + 1, y, x] == label
                    and labels[z + 1, y, x + 1] == label
                    and labels[z + 1, y + 1, x] == label
                    and labels[z + 1, y + 1, x + 1] == label
                ):
                    continue
                for corner in range(8):
                    corners[corner] = labels[z + (corner >> 2), y + (corner >> 1 & 1), x + (corner & 1)]
                for corner in range(8):
                    code = corners_alike(corners, corner)
                    if code == 0:
                        continue
                    if found < places.size:
                        places[found] = (z * height + y) * width + x
                        classes[found] = corners[corner]
                        codes[found] = code
                    found += 1
    return found


@compiled
def mark(places: np.ndarray, bits: np.ndarray, marks: np.ndarray) -> None:
    """Set the bits of flat ``marks`` at places."""
    for i in range(places.size):
        marks[places[i]] |= bits[i]


@compiled
def nearest_marked(
    places: np.ndarray, bits: np.ndarray, marks: np.ndarray, steps: np.ndarray, lengths: np.ndarray, nearest: np.ndarray
) -> None:
    """Find the length of the shortest step from each place to a place whose marks hold its bit.

    Args:
        places: Flat places from which no step leaves ``marks``.
        bits: One bit each.
        marks: Flat.
        steps: Flat offsets, shortest first.
        lengths: Their lengths.
        nearest: Receives the lengths; left as it is where no step finds the bit.
    """
    for i in range(places.size):
        place, bit = places[i], bits[i]
        for k in range(steps.size):
            if marks[place + steps[k]] & bit:
                nearest[i] = lengths[k]
                break


@compiled
def intruding_voxels(prediction: np.ndarray, tree_classes: np.ndarray, result: np.ndarray) -> None:
    """Write to ``result`` the tree's class where the prediction is another class, else 0; all flat."""
    for i in range(tree_classes.size):
        label = tree_classes[i]
        result[i] = label if label != 0 and prediction[i] != label else 0

"""Compiled loops that walk a grid row by row (docs/decoding.md, "Rows").

Along a row of an upright grid only one coordinate changes: the two other interpolations are the same for all its voxels
and are done once for each node that the row passes. A *window* holds some planes of a volume: plane z lies at
``z % capacity``; windows and volumes are flattened to (plane * row * column, channel) float32.
"""

from __future__ import annotations

import numpy as np

from impulse_nnunet.decoding.kernels import beside, compiled, largest, leads


@compiled
def blend(volume: np.ndarray, places: np.ndarray, weights: np.ndarray, column: int, line: np.ndarray) -> None:
    """Interpolate between up to four rows of a volume at one column; where one has all the weight it is copied.

    Args:
        volume: (node, channel).
        places: (4,) where the rows start.
        weights: (4,) float32.
        column: Node of the row.
        line: Receives (channel,).
    """
    for k in range(4):
        if weights[k] == 1:
            row = volume[places[k] + column]
            for j in range(line.shape[0]):
                line[j] = row[j]
            return
    a, b = volume[places[0] + column], volume[places[1] + column]
    c, d = volume[places[2] + column], volume[places[3] + column]
    wa, wb, wc, wd = weights[0], weights[1], weights[2], weights[3]
    for j in range(line.shape[0]):
        line[j] = wa * a[j] + wb * b[j] + wc * c[j] + wd * d[j]


@compiled
def row_starts(
    node_z: int,
    share_z: float,
    node_y: int,
    share_y: float,
    size: np.ndarray,
    capacity: int,
    places: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Where the four rows around a row of the grid start in a window, and their weights."""
    for k in range(4):
        z = min(node_z + (k >> 1), size[0] - 1)
        y = min(node_y + (k & 1), size[1] - 1)
        places[k] = ((z % capacity) * size[1] + y) * size[2]
        weights[k] = (share_z if k >> 1 else np.float32(1) - share_z) * (share_y if k & 1 else np.float32(1) - share_y)


@compiled
def interpolate_rows(
    chosen: np.ndarray,
    shape: np.ndarray,
    positions: np.ndarray,
    nodes: np.ndarray,
    shares: np.ndarray,
    volumes: tuple,
    sizes: np.ndarray,
    capacities: np.ndarray,
    by_position: np.ndarray,
    points: np.ndarray,
    hidden: np.ndarray,
) -> None:
    """Outputs of the heads' first layers at voxels of an upright grid.

    Args:
        chosen: (n,) flat indices in the grid, ascending.
        shape: (3,) of the grid.
        positions: (3, longest) box positions of the grid's planes, rows and columns.
        nodes: (level, 3, longest) the lower node beside each of them.
        shares: (level, 3, longest) the weight of the upper one.
        volumes: Volumes of each level, its planes with the first layers applied: (node, output).
        sizes: (level, 3).
        capacities: (level,) planes in each window.
        by_position: (3, output) the first layers' weights of the position.
        points: Receives the box positions (n, 3).
        hidden: Receives (n, output).
    """
    levels, number = sizes.shape[0], chosen.shape[0]
    lines = np.empty((levels, sizes[:, 2].max(), by_position.shape[1]), np.float32)
    places, weights, base = np.empty(4, np.int64), np.empty(4, np.float32), np.empty_like(by_position[0])
    start = 0
    while start < number:
        row = chosen[start] // shape[2]
        y, z = row % shape[1], row // shape[1]
        stop = start + 1
        while stop < number and chosen[stop] // shape[2] == row:
            stop += 1
        for level in range(levels):
            row_starts(
                nodes[level, 0, z],
                shares[level, 0, z],
                nodes[level, 1, y],
                shares[level, 1, y],
                sizes[level],
                capacities[level],
                places,
                weights,
            )
            volume, known = volumes[level], -1
            for p in range(start, stop):
                low = nodes[level, 2, chosen[p] - row * shape[2]]
                for node in range(max(low, known + 1), min(low + 2, sizes[level, 2])):
                    blend(volume, places, weights, node, lines[level, node])
                    known = node
        pz, py = positions[0, z], positions[1, y]
        for j in range(base.shape[0]):
            base[j] = pz * by_position[0, j] + py * by_position[1, j]
        for p in range(start, stop):
            x = chosen[p] - row * shape[2]
            points[p, 0], points[p, 1], points[p, 2] = pz, py, positions[2, x]
            along_row(lines, nodes, shares, sizes, x, base, positions[2, x], by_position, hidden[p])
        start = stop


@compiled
def along_row(
    lines: np.ndarray,
    nodes: np.ndarray,
    shares: np.ndarray,
    sizes: np.ndarray,
    x: int,
    base: np.ndarray,
    px: float,
    by_position: np.ndarray,
    result: np.ndarray,
) -> None:
    """Sum of the levels' lines at one place of a row, and of what is linear in the position; two levels at a time."""
    levels = sizes.shape[0]
    for j in range(result.shape[0]):
        result[j] = base[j] + px * by_position[2, j]
    for level in range(0, levels - 1, 2):
        low, other = nodes[level, 2, x], nodes[level + 1, 2, x]
        a, b = lines[level, low], lines[level, min(low + 1, sizes[level, 2] - 1)]
        c, d = lines[level + 1, other], lines[level + 1, min(other + 1, sizes[level + 1, 2] - 1)]
        wb, wd = shares[level, 2, x], shares[level + 1, 2, x]
        wa, wc = np.float32(1) - wb, np.float32(1) - wd
        for j in range(result.shape[0]):
            result[j] += wa * a[j] + wb * b[j] + wc * c[j] + wd * d[j]
    if levels % 2:
        level = levels - 1
        low, wb = nodes[level, 2, x], shares[level, 2, x]
        a, b = lines[level, low], lines[level, min(low + 1, sizes[level, 2] - 1)]
        wa = np.float32(1) - wb
        for j in range(result.shape[0]):
            result[j] += wa * a[j] + wb * b[j]


@compiled
def bend_plane(
    logits: np.ndarray, labels: np.ndarray, size: np.ndarray, capacity: int, z: int, bends: np.ndarray
) -> None:
    """How far the lead of each node's label over each class bends, and the largest of that over a cell's face.

    Args:
        logits: (node, class), a window.
        labels: (node,) best class.
        size: (3,) nodes along each axis.
        capacity: Planes in the windows.
        z: Plane to treat; its neighbours are in the window.
        bends: (node, axis, class) receives, of the node and its three neighbours at higher rows and columns, the
            largest size of the second difference of the lead along each axis; at the ends the neighbour's.
    """
    height, width = size[1], size[2]
    for y in range(height):
        for x in range(width):
            node = ((z % capacity) * height + y) * width + x
            label = labels[node]
            bends[node, :, :] = 0
            for axis in range(3):
                length, place = size[axis], z if axis == 0 else y if axis == 1 else x
                if length < 3:
                    continue
                middle = min(max(place, 1), length - 2)
                if axis == 0:
                    low = (((middle - 1) % capacity) * height + y) * width + x
                    mid = ((middle % capacity) * height + y) * width + x
                    high = (((middle + 1) % capacity) * height + y) * width + x
                else:
                    step = width if axis == 1 else 1
                    mid = node + (middle - place) * step
                    low, high = mid - step, mid + step
                before, here, after = logits[low], logits[mid], logits[high]
                own, target = before[label] - np.float32(2) * here[label] + after[label], bends[node, axis]
                for c in range(target.shape[0]):
                    target[c] = abs(before[c] - np.float32(2) * here[c] + after[c] - own)
    start = (z % capacity) * height * width
    for y in range(height):
        for node in range(start + y * width, start + (y + 1) * width - 1):
            raise_to(bends[node], bends[node + 1])
        if y > 0:
            for node in range(start + y * width, start + (y + 1) * width):
                raise_to(bends[node - width], bends[node])


@compiled
def raise_to(target: np.ndarray, other: np.ndarray) -> None:
    """Raise (axis, class) values to those of another node where they are larger."""
    for axis in range(target.shape[0]):
        for c in range(target.shape[1]):
            value, above = target[axis, c], other[axis, c]
            target[axis, c] = value if value > above else above


@compiled
def settle_row(
    logits: np.ndarray,
    bends: np.ndarray,
    labels: np.ndarray,
    classes: int,
    size: np.ndarray,
    capacity: int,
    y: int,
    first: int,
    last: int,
    safety: float,
    settled: np.ndarray,
) -> None:
    """Find the cells of a row in which one class wins everywhere; a cell is named by its lowest node.

    Args:
        logits: (node, class), a window.
        bends: (node, axis, class) of :func:`bend_plane`; receives the largest of the cell's eight nodes.
        labels: (node,) best class.
        classes: Without those that fill up the rows.
        size: (3,) nodes along each axis.
        capacity: Planes in the windows.
        y: Row to treat.
        first: First plane to treat.
        last: Last plane, excluded.
        safety: Share of the bends that the error may reach in the middle between two nodes.
        settled: (node,) receives the class that wins in the whole cell, or -1.
    """
    height, width = size[1], size[2]
    places, least = np.empty(8, np.int64), np.empty(logits.shape[1], np.float32)
    for z in range(first, last):
        for x in range(width):
            same = True
            for corner in range(8):
                cz = min(z + (corner >> 2), size[0] - 1)
                cy, cx = min(y + (corner >> 1 & 1), height - 1), min(x + (corner & 1), width - 1)
                places[corner] = ((cz % capacity) * height + cy) * width + cx
                same &= labels[places[corner]] == labels[places[0]]
            node = places[0]
            if places[4] != node:
                raise_to(bends[node], bends[places[4]])
            settled[node] = -1
            if not same:
                continue
            label = labels[node]
            least[:] = np.inf
            for corner in range(8):  # how little the label leads each class
                row = logits[places[corner]]
                own = row[label]
                for c in range(row.shape[0]):
                    least[c] = min(least[c], own - row[c])
            bend, wins = bends[node], True
            for c in range(classes):
                wins &= c == label or least[c] > np.float32(safety) * (bend[0, c] + bend[1, c] + bend[2, c])
            if wins:
                settled[node] = label


@compiled
def label_rows(
    logits: np.ndarray,
    bends: np.ndarray,
    settled: np.ndarray,
    classes: int,
    size: np.ndarray,
    capacity: int,
    safety: float,
    nodes: np.ndarray,
    shares: np.ndarray,
    between: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    labels: np.ndarray,
    pending: np.ndarray,
) -> int:
    """Label the voxels of a part of an upright grid from the lattice, as far as the lattice decides.

    Args:
        logits: (node, class), a window of the lattice.
        bends: (node, axis, class), largest of each cell.
        settled: (node,) class of the cell, or -1.
        classes: Without those that fill up the rows.
        size: (3,) nodes along each axis.
        capacity: Planes in the windows.
        safety: Share of the bends that the error may reach in the middle between two nodes.
        nodes: (3, longest) the lower node beside each plane, row and column of the grid.
        shares: (3, longest) weight of the upper one.
        between: (3, longest) whether it lies between two nodes.
        lower: (3,) first voxel of the part.
        upper: (3,) last, excluded.
        labels: (d, h, w) of the whole grid, receives the labels.
        pending: Receives the flat indices, in the grid and ascending, of the voxels that the lattice does not decide.

    Returns:
        Their number, also where ``pending`` is too short.
    """
    places, weights = np.empty(4, np.int64), np.empty(4, np.float32)
    first, second = np.empty(logits.shape[1], np.float32), np.empty(logits.shape[1], np.float32)
    values, found = np.empty(logits.shape[1], np.float32), 0
    for z in range(lower[0], upper[0]):
        for y in range(lower[1], upper[1]):
            row_starts(nodes[0, z], shares[0, z], nodes[1, y], shares[1, y], size, capacity, places, weights)
            off_z, off_y = 2 * safety * beside(shares[0, z]), 2 * safety * beside(shares[1, y])
            here, target = np.int64(-2), labels[z, y]
            for x in range(lower[2], upper[2]):
                column = nodes[2, x]
                label = settled[places[0] + column]
                if label >= 0:
                    target[x] = label
                    continue
                if between[0, z] and between[1, y] and between[2, x]:
                    if column != here:
                        if column == here + 1:
                            first[:] = second
                        else:
                            blend(logits, places, weights, column, first)
                        blend(logits, places, weights, min(column + 1, size[2] - 1), second)
                        here = column
                    share = shares[2, x]
                    for c in range(values.shape[0]):
                        values[c] = first[c] + share * (second[c] - first[c])
                    best = largest(values[:classes])
                    if leads(
                        values, bends[places[0] + column], best, classes, off_z, off_y, 2 * safety * beside(share)
                    ):
                        target[x] = best
                        continue
                if found < pending.size:
                    pending[found] = (z * labels.shape[1] + y) * labels.shape[2] + x
                found += 1
    return found

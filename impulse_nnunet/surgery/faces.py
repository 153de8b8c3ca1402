"""Walls and borders of voxel masks as the centres of voxel faces, in the world.

A surface is the set of faces between a voxel inside and a neighbour outside. The true surface passes between the two
voxels' centres, so it lies within half an edge of the face's centre, along that axis. A distance between two such
surfaces is therefore within one voxel's diagonal of the true one, on any grid; between planes along the faces, it
is exact up to the sampling of the faces. All positions are LPS, mm, whatever way the array runs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BOX = tuple[slice, slice, slice]


def box_of(mask: np.ndarray, margin: int = 0) -> BOX:
    """The slices (d, h, w) that hold all of a mask, with some voxels around it where the array has them."""
    found = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(mask.any(axis=others))
        first, last = (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)
        found.append(slice(max(0, first - margin), min(mask.shape[axis], last + margin)))
    return found[0], found[1], found[2]


def positions_mm(indices: np.ndarray, to_world: np.ndarray) -> np.ndarray:
    """World positions (n, 3) of (d, h, w) indices, which need not be whole."""
    return np.asarray(indices, np.float64) @ to_world[:3, :3].T + to_world[:3, 3]


def indices_at(points_mm: np.ndarray, to_world: np.ndarray) -> np.ndarray:
    """Nearest (d, h, w) indices (n, 3), int64, of world positions; they may lie outside the array."""
    inverse = np.linalg.inv(to_world)
    return np.rint(np.asarray(points_mm) @ inverse[:3, :3].T + inverse[:3, 3]).astype(np.int64)


def values_at(labels: np.ndarray, points_mm: np.ndarray, to_world: np.ndarray) -> np.ndarray:
    """The label of the voxel in which each world position (n, 3) lies; 0 outside the array."""
    places = indices_at(points_mm, to_world)
    inside = np.all((places >= 0) & (places < labels.shape), axis=1)
    found = np.zeros(len(places), labels.dtype)
    found[inside] = labels[tuple(places[inside].T)]
    return found


def faces_between(labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """All faces between two voxels of different value, axis by axis.

    Yields:
        Centres (n, 3) in (d, h, w) indices, and the values of the voxel before and of the one behind along the axis.
    """
    for axis in range(3):
        before = labels[tuple(slice(None, -1) if n == axis else slice(None) for n in range(3))]
        behind = labels[tuple(slice(1, None) if n == axis else slice(None) for n in range(3))]
        places = np.nonzero(before != behind)
        centres = np.stack(places, axis=1).astype(np.float64)
        centres[:, axis] += 0.5
        yield centres, before[places], behind[places]


def wall_of(mask: np.ndarray, to_world: np.ndarray) -> np.ndarray:
    """Centres (n, 3), mm, of the faces around a mask; the array's outer faces count where the mask reaches them."""
    box = box_of(mask)
    padded = np.pad(mask[box].astype(bool), 1)
    first = np.array([part.start for part in box]) - 1
    centres = np.concatenate([found for found, _, _ in faces_between(padded)])
    return positions_mm(centres + first, to_world)


def borders_between(labels: np.ndarray, to_world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Faces between two foreground labels.

    Args:
        labels: (d, h, w), 0 is background.
        to_world: 4 x 4, (d, h, w) indices to LPS.

    Returns:
        Centres (n, 3), mm, and the two labels (n, 2) of each, the smaller one first.
    """
    box = box_of(labels > 0)
    first = np.array([part.start for part in box])
    centres, pairs = [], []
    for found, before, behind in faces_between(labels[box]):
        chosen = (before > 0) & (behind > 0)
        centres.append(found[chosen] + first)
        pairs.append(np.sort(np.stack([before[chosen], behind[chosen]], axis=1).astype(np.int64), axis=1))
    return positions_mm(np.concatenate(centres), to_world), np.concatenate(pairs)

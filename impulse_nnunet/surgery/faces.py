"""Walls and borders of voxel masks as the centres of voxel faces, in the world.

A surface is the set of faces between a voxel inside and a neighbour outside. The true surface passes between the two
voxels' centres, so it lies within half an edge of the face's centre, along that axis. A distance between two such
surfaces is therefore within one voxel's diagonal of the true one, on any grid; between planes along the faces, it
is exact up to the sampling of the faces. All positions are LPS, mm, whatever way the array runs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from impulse_nnunet.geometry.boxes import bounding_box
from impulse_nnunet.geometry.world import indices_at, positions_mm

BOX = tuple[slice, slice, slice]


def box_of(mask: np.ndarray, margin: int = 0) -> BOX:
    """The slices (d, h, w) that hold all of a mask, with some voxels around it where the array has them."""
    lower, upper = bounding_box(mask) or (np.zeros(3, int), np.zeros(3, int))
    d, h, w = (
        slice(max(0, int(first) - margin), min(size, int(last) + margin))
        for first, last, size in zip(lower, upper, mask.shape, strict=True)
    )
    return d, h, w


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

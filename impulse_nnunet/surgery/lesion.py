"""A lesion: its size, where it lies, and how far it is from what matters."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, KDTree, QhullError
from scipy.spatial.distance import pdist

from impulse_nnunet.errors import InputError
from impulse_nnunet.geometry.world import positions_mm
from impulse_nnunet.surgery.faces import borders_between, box_of, faces_between, wall_of
from impulse_nnunet.surgery.veins import Borders


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """A lesion among segments.

    Args:
        wall_mm: (n, 3) centres of the faces around it, LPS.
        volume_ml: Of its voxels.
        largest_diameter_mm: Between its farthest faces, in any direction.
        share_by_label: Share of its voxels that each segment holds; sums to 1 with what lies in none.
        outside_share: Share of its voxels in no segment.
    """

    wall_mm: np.ndarray
    volume_ml: float
    largest_diameter_mm: float
    share_by_label: Mapping[int, float]
    outside_share: float

    @property
    def labels(self) -> tuple[int, ...]:
        """The segments that hold some of it, most first."""
        return tuple(sorted(self.share_by_label, key=lambda label: -self.share_by_label[label]))


def measure_lesion(mask: np.ndarray, labels: np.ndarray, to_world: np.ndarray, where: str) -> Lesion:
    """Measure a lesion.

    Args:
        mask: (d, h, w), anything but 0 is lesion.
        labels: (d, h, w) segments, 0 elsewhere.
        to_world: 4 x 4, (d, h, w) indices to LPS.
        where: Its file, for messages.

    Raises:
        InputError: No voxel, or none in any segment.
    """
    inside = mask > 0
    count = int(np.count_nonzero(inside))
    if not count:
        raise InputError(where, "no lesion (all voxels are 0)", "a mask of one lesion", "check `lesion`")
    held = np.bincount(labels[inside].astype(np.int64))
    if held[0] == count:
        found = f"a lesion outside all segments ({_ml(count, to_world):.2f} ml at {_centre(inside, to_world)} mm LPS)"
        raise InputError(where, found, "one that lies in the segments, at least in part", "check both files")
    wall = wall_of(inside, to_world)
    return Lesion(
        wall_mm=wall,
        volume_ml=_ml(count, to_world),
        largest_diameter_mm=largest_diameter_mm(wall),
        share_by_label={int(label): float(held[label] / count) for label in np.flatnonzero(held) if label},
        outside_share=float(held[0] / count),
    )


def largest_diameter_mm(points_mm: np.ndarray) -> float:
    """The distance between the two farthest of (n, 3) points; they are corners of the convex hull."""
    with suppress(QhullError):  # flat or too few: all of them
        points_mm = points_mm[ConvexHull(points_mm).vertices]
    return float(pdist(points_mm).max()) if len(points_mm) > 1 else 0.0


def volumes_ml(labels: np.ndarray, to_world: np.ndarray) -> dict[int, float]:
    """Volume of each label that occurs, ml."""
    counts = np.bincount(labels.reshape(-1))
    return {int(label): _ml(int(counts[label]), to_world) for label in np.flatnonzero(counts) if label}


def distance_mm(wall_mm: np.ndarray, mask: np.ndarray, inside: np.ndarray, to_world: np.ndarray) -> float | None:
    """Shortest distance between the surfaces of a lesion and a mask; 0 where they overlap, None without a mask.

    Args:
        wall_mm: Faces of the lesion.
        mask: (d, h, w), e.g. a tree.
        inside: (d, h, w) the lesion.
        to_world: 4 x 4, (d, h, w) indices to LPS.
    """
    if not mask.any():
        return None
    box = box_of(inside)
    if np.any((inside[box] > 0) & (mask[box] > 0)):
        return 0.0
    return between_mm(wall_mm, wall_of(mask, to_world))


def between_mm(first_mm: np.ndarray, second_mm: np.ndarray) -> float | None:
    """Shortest distance between two sets of points; None where one is empty."""
    if not len(first_mm) or not len(second_mm):
        return None
    few, many = sorted((first_mm, second_mm), key=len)
    return float(KDTree(few).query(many)[0].min())


def pleura_mm(labels: np.ndarray, trees: list[np.ndarray], to_world: np.ndarray) -> np.ndarray:
    """The organ's outer surface, as face centres (n, 3), mm.

    Faces of labelled voxels towards what is outside; not those towards trees, nor towards hollows that labels and trees
    enclose. The array's outer faces count where the organ reaches them.
    """
    box = box_of(labels > 0, 1)
    first = np.array([part.start for part in box]) - 1
    kinds = np.pad(np.where(labels[box] > 0, np.uint8(2), np.uint8(0)), 1)
    for tree in trees:
        kinds[1:-1, 1:-1, 1:-1][(tree[box] > 0) & (labels[box] == 0)] = 1
    outside, _ = ndimage.label(kinds == 0)
    kinds[(kinds == 0) & (outside != outside[0, 0, 0])] = 1
    centres = [
        found[np.abs(before.astype(np.int8) - behind.astype(np.int8)) == 2]
        for found, before, behind in faces_between(kinds)
    ]
    return positions_mm(np.concatenate(centres) + first, to_world)


def plane_distances_mm(
    lesion: Lesion, inside: np.ndarray, labels: np.ndarray, borders: Borders
) -> dict[tuple[int, int], float]:
    """Distance from a lesion to the border of each pair of segments that touch; 0 where it lies on both sides.

    Args:
        lesion: The lesion.
        inside: (d, h, w) its mask.
        labels: (d, h, w) segments.
        borders: Between them.
    """
    found: dict[tuple[int, int], float] = {}
    if borders.tree is None:
        return found
    kinds, which = np.unique(borders.pairs, axis=0, return_inverse=True)
    box = box_of(inside, 1)
    crossed = borders_between(np.where(inside[box] > 0, labels[box], 0), np.eye(4))[1]
    crossed_pairs = {(int(a), int(b)) for a, b in np.unique(crossed, axis=0)}
    search = KDTree(lesion.wall_mm)
    gaps = search.query(borders.centres_mm)[0]
    nearest = np.full(len(kinds), np.inf)
    np.minimum.at(nearest, which.reshape(-1), gaps)
    for (a, b), gap in zip(kinds, nearest, strict=True):
        found[int(a), int(b)] = 0.0 if (int(a), int(b)) in crossed_pairs else float(gap)
    return found


def _ml(count: int, to_world: np.ndarray) -> float:
    return count * abs(float(np.linalg.det(to_world[:3, :3]))) / 1000


def _centre(inside: np.ndarray, to_world: np.ndarray) -> str:
    centre = to_world[:3, :3] @ np.argwhere(inside).mean(0) + to_world[:3, 3]
    return "(" + ", ".join(f"{value:.1f}" for value in centre) + ")"

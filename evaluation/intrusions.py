"""Intrusions of a tree (bronchi, arteries, veins) into segments that are not its own (paper, Eq. 3 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
from scipy.spatial import KDTree

from impulse_nnunet.evaluation.kernels import intruding_voxels
from impulse_nnunet.evaluation.surface import find_surface, foreground_bounds, padded_crop, points_mm

CONNECTIVITIES = (26, 18, 6)
INTRUSION_SURFACES = ("whole", "interface")


@dataclass(frozen=True)
class Intrusions:
    """The groups of tree voxels that lie outside their own predicted segment, one entry for each group.

    Args:
        classes: (n,) the class that the group belongs to.
        distances_mm: (n,) ID: the largest distance of its voxels to the surface of the predicted segment; NaN where
            there is no such surface: the segment was not predicted at all, or has no interface.
        sizes: (n,) voxels.
    """

    classes: np.ndarray
    distances_mm: np.ndarray
    sizes: np.ndarray

    def of(self, classes: Sequence[int]) -> Intrusions:
        """The groups that belong to some classes."""
        chosen = np.isin(self.classes, classes)
        return Intrusions(self.classes[chosen], self.distances_mm[chosen], self.sizes[chosen])

    @property
    def number(self) -> int:
        """NI, summed over the classes."""
        return len(self.classes)

    @property
    def mean_distance_mm(self) -> float:
        """ID, the mean over the groups; NaN where there is none with a distance."""
        known = self.distances_mm[~np.isnan(self.distances_mm)]
        return float(known.mean()) if len(known) else float("nan")

    @property
    def total_distance_mm(self) -> float:
        """NI x ID (paper, Fig. 10): 0 without intrusions; NaN where there are some but none has a distance.

        Groups without a distance count as if they were as far as the others' mean.
        """
        return self.number * self.mean_distance_mm if self.number else 0.0


class SegmentSurfaces:
    """Distances to the surfaces of predicted segments; the searches are prepared once for several trees.

    Args:
        prediction: (d, h, w) integer labels.
        spacing_mm: (d, h, w).
        kind: ``whole`` surface, or ``interface``: only where it touches another segment.
    """

    def __init__(self, prediction: np.ndarray, spacing_mm: Sequence[float], kind: str = "whole") -> None:
        if kind not in INTRUSION_SURFACES:
            raise ValueError(f"surface is {kind!r}; expected one of {', '.join(INTRUSION_SURFACES)}")
        self.spacing = np.asarray(spacing_mm, np.float64)
        self.first = foreground_bounds([prediction])[0] - 1  # of the padded crop
        (padded,) = padded_crop([prediction], (1, 1, 1))
        self.shape = padded.shape
        self.surface = find_surface(padded, self.spacing, "voxel", kind == "interface")
        self.trees: dict[int, KDTree | None] = {}

    def distances_mm(self, number: int, indices: np.ndarray) -> np.ndarray:
        """Distances of (n, 3) voxel indices of the whole map to the surface of one segment; NaN if there is none."""
        if number not in self.trees:
            places = self.surface.places[self.surface.classes == number]
            points = points_mm(places, self.shape, self.spacing)
            self.trees[number] = KDTree(points, balanced_tree=False, compact_nodes=False) if len(points) else None
        tree = self.trees[number]
        if tree is None:
            return np.full(len(indices), np.nan)
        return tree.query((indices - self.first) * self.spacing)[0]


def find_intrusions(
    tree_classes: np.ndarray,
    prediction: np.ndarray,
    surfaces: SegmentSurfaces,
    connectivity: int = 26,
    min_size: int = 1,
) -> Intrusions:
    """Find the connected groups of T_i outside PS_i for every class i.

    Args:
        tree_classes: (d, h, w) integer, the class of each tree voxel, 0 elsewhere.
        prediction: The same shape; integer labels.
        surfaces: Surfaces of the prediction.
        connectivity: 26, 18 or 6 neighbours make voxels one group; voxels of two classes never are one.
        min_size: Smaller groups are left out, voxels.
    """
    if tree_classes.shape != prediction.shape:
        raise ValueError(f"tree has shape {tree_classes.shape}, prediction {prediction.shape}; expected the same")
    if connectivity not in CONNECTIVITIES:
        raise ValueError(f"connectivity is {connectivity}; expected one of {CONNECTIVITIES}")
    outside = np.empty(prediction.shape, np.uint16 if tree_classes.dtype.itemsize > 1 else np.uint8)
    intruding_voxels(_flat(prediction), _flat(tree_classes), outside.reshape(-1))
    lower, upper = foreground_bounds([outside])
    outside = np.ascontiguousarray(outside[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))])
    if outside.size == 0:
        return Intrusions(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))
    groups = cc3d.connected_components(outside, connectivity=connectivity)  # type: ignore[call-overload]
    indices = np.argwhere(outside)
    group, label = groups[tuple(indices.T)].astype(np.int64) - 1, outside[tuple(indices.T)].astype(np.int64)
    number = int(group.max()) + 1
    sizes, classes, distances = np.bincount(group), np.zeros(number, np.int64), np.full(number, -np.inf)
    classes[group] = label
    for one in np.unique(label):
        chosen = label == one
        far = surfaces.distances_mm(int(one), indices[chosen] + lower)
        with np.errstate(invalid="ignore"):  # numpy warns of NaN, which stands for a segment that was not predicted
            np.maximum.at(distances, group[chosen], far)
    kept = sizes >= min_size
    return Intrusions(classes[kept], distances[kept], sizes[kept])


def _flat(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1)

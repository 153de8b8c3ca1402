"""Surfaces of label maps and how far apart they are (paper, Eq. 2; definitions in docs/metrics.md).

Two kinds of surface, each a set of places with a weight: ``voxel``, the voxels that have a 6-neighbour of another label
or lie on the image's face, weight 1; ``surfel``, the 2 x 2 x 2 cells through which the surface passes, weight the area
of the surface in the cell, mm^2. Distances are between the places' centres, mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import KDTree
from skimage.measure import marching_cubes

from impulse_nnunet.evaluation.kernels import mark, nearest_marked, nonzero_bounds, surface_cells, surface_voxels
from impulse_nnunet.evaluation.overlap import MOST_CLASSES, as_classes

SURFACES = ("voxel", "surfel")
TIE_MM = 1e-6  # NIfTI stores spacing in float32, so that equal distances come out unequal
LARGEST_BALL = 4096  # offsets; beyond it a k-d tree is faster than looking at every offset
CLASSES_AT_ONCE = 64  # bits of the widest integer
FIRST_GUESS = 1 << 20


@dataclass(frozen=True)
class Surface:
    """The surfaces of all classes of one padded label map.

    Args:
        places: (n,) int64, flat indices into the padded map.
        classes: (n,) the class of each.
        weights: (n,) float64, 1 or mm^2.
    """

    places: np.ndarray
    classes: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances from each place of a map's surfaces to the same class's surface in the other map.

    Args:
        surface: Surface of this map.
        distances_mm: (n,) infinite where the other map lacks the class, or the distance exceeds what was looked for.
    """

    surface: Surface
    distances_mm: np.ndarray

    def of_class(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances in mm and weights of one class."""
        chosen = self.surface.classes == number
        return self.distances_mm[chosen], self.surface.weights[chosen]


def normalised_surface_dice(
    reference: np.ndarray,
    prediction: np.ndarray,
    number_of_classes: int,
    spacing_mm: Sequence[float],
    tolerances_mm: Sequence[float],
    surface: str = "voxel",
) -> np.ndarray:
    """Share of both surfaces that lies within a tolerance of the other, NSD (paper, Eq. 2).

    Args:
        reference: (d, h, w) integer labels, 0 to ``number_of_classes`` - 1.
        prediction: The same shape.
        number_of_classes: Classes, background included.
        spacing_mm: (d, h, w).
        tolerances_mm: Each is met by a distance up to it, ties included.
        surface: ``voxel`` or ``surfel``.

    Returns:
        (tolerance, class - 1) float64; NaN where a label is in neither map, 0 where it is in one of them only.
    """
    if not len(tolerances_mm) or not all(tolerance >= 0 for tolerance in tolerances_mm):
        raise ValueError(f"tolerances are {list(tolerances_mm)}; expected at least one, none negative")
    reference = as_classes(reference, number_of_classes, "reference")
    prediction = as_classes(prediction, number_of_classes, "prediction")
    pair = surface_distances(reference, prediction, spacing_mm, surface, max(tolerances_mm))
    return nsd_from_distances(pair, number_of_classes, tolerances_mm)


def nsd_from_distances(
    pair: tuple[SurfaceDistances, SurfaceDistances], number_of_classes: int, tolerances_mm: Sequence[float]
) -> np.ndarray:
    """(tolerance, class - 1) NSD from the distances of both directions."""
    total = np.zeros(number_of_classes)
    near = np.zeros((len(tolerances_mm), number_of_classes))
    for one in pair:
        classes, weights = one.surface.classes, one.surface.weights
        total += np.bincount(classes, weights, number_of_classes)
        for row, tolerance in zip(near, tolerances_mm, strict=True):
            row += np.bincount(classes, weights * (one.distances_mm <= tolerance + TIE_MM), number_of_classes)
    return np.divide(near, total, out=np.full_like(near, np.nan), where=total > 0)[:, 1:]


def hausdorff95_from_distances(
    pair: tuple[SurfaceDistances, SurfaceDistances], number_of_classes: int, surface: str
) -> np.ndarray:
    """Larger of the two directions' 95th percentiles, (class - 1,) mm; NaN where a label is missing from a map.

    Percentiles of surfels are weighted by area, as google-deepmind/surface-distance does.
    """
    result = np.full(number_of_classes - 1, np.nan)
    for number in range(1, number_of_classes):
        sides = [one.of_class(number) for one in pair]
        if all(len(distances) for distances, _ in sides):
            result[number - 1] = max(
                float(np.percentile(distances, 95)) if surface == "voxel" else _weighted_percentile(distances, weights)
                for distances, weights in sides
            )
    return result


def assd_from_distances(pair: tuple[SurfaceDistances, SurfaceDistances], number_of_classes: int) -> np.ndarray:
    """Mean distance over the places of both surfaces, weighted, (class - 1,) mm; NaN where a label is missing."""
    result = np.full(number_of_classes - 1, np.nan)
    for number in range(1, number_of_classes):
        sides = [one.of_class(number) for one in pair]
        if all(len(distances) for distances, _ in sides):
            distances, weights = (np.concatenate(arrays) for arrays in zip(*sides, strict=True))
            result[number - 1] = float(np.average(distances, weights=weights))
    return result


def surface_distances(
    reference: np.ndarray,
    prediction: np.ndarray,
    spacing_mm: Sequence[float],
    surface: str = "voxel",
    largest_mm: float = np.inf,
) -> tuple[SurfaceDistances, SurfaceDistances]:
    """Distances of the surfaces of two label maps, from each to the other, for all classes at once.

    Args:
        reference: (d, h, w) integer labels, 0 background, up to 65535.
        prediction: The same shape.
        spacing_mm: (d, h, w).
        surface: ``voxel`` or ``surfel``.
        largest_mm: Distances beyond it may come out infinite; small ones are found much faster.

    Returns:
        From the reference to the prediction, and from the prediction to the reference.
    """
    if reference.shape != prediction.shape or reference.ndim != 3:
        raise ValueError(f"shapes are {reference.shape} and {prediction.shape}; expected the same (d, h, w)")
    if surface not in SURFACES:
        raise ValueError(f"surface is {surface!r}; expected one of {', '.join(SURFACES)}")
    spacing = np.asarray(spacing_mm, np.float64)
    if spacing.shape != (3,) or not np.all((spacing > 0) & np.isfinite(spacing)):
        raise ValueError(f"spacing is {spacing_mm}; expected three positive numbers (d, h, w) in mm")
    reach = (largest_mm + TIE_MM) / spacing
    search = bool(np.all(reach < max(reference.shape)) and np.prod(2 * np.floor(reach) + 1) <= 2 * LARGEST_BALL)
    pad = (np.floor(reach).astype(int) if search else np.zeros(3, int)) + 1
    maps = padded_crop((reference, prediction), pad)
    first, second = (find_surface(labels, spacing, surface) for labels in maps)
    shape = maps[0].shape
    measure = _search_ball if search else _ask_tree
    limit = largest_mm if search else np.inf
    return (
        SurfaceDistances(first, measure(first, second, shape, spacing, limit)),
        SurfaceDistances(second, measure(second, first, shape, spacing, limit)),
    )


def padded_crop(maps: Sequence[np.ndarray], pad: Sequence[int] | np.ndarray) -> list[np.ndarray]:
    """Crop label maps to the box of all their foregrounds and put background around it."""
    lower, upper = foreground_bounds(maps)
    size = [int(n + 2 * p) for n, p in zip(upper - lower, pad, strict=True)]
    inside = tuple(slice(int(p), int(p + n)) for n, p in zip(upper - lower, pad, strict=True))
    box = tuple(slice(int(a), int(b)) for a, b in zip(lower, upper, strict=True))
    padded = []
    for labels in maps:
        cropped = as_classes(labels[box], 256 if labels.dtype.itemsize == 1 else MOST_CLASSES, "label map")
        padded.append(np.zeros(size, cropped.dtype))
        padded[-1][inside] = cropped
    return padded


def foreground_bounds(maps: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """First and last + 1 index, (d, h, w), of the non-zero voxels of several arrays; both 0 where there are none."""
    lower, upper = np.full(3, np.iinfo(np.int64).max), np.zeros(3, np.int64)
    for labels in maps:
        nonzero_bounds(np.asarray(labels, labels.dtype.newbyteorder("=")), lower, upper)
    return np.minimum(lower, upper), upper


def find_surface(labels: np.ndarray, spacing_mm: np.ndarray, surface: str, interface: bool = False) -> Surface:
    """Surfaces of a padded label map; ``interface`` keeps voxels that touch another foreground label."""
    if surface == "voxel":
        places = np.empty(FIRST_GUESS, np.int64)
        while (found := surface_voxels(labels, places, interface)) > len(places):
            places = np.empty(found, np.int64)
        places = places[:found]
        return Surface(places, labels.reshape(-1)[places], np.ones(found))
    size = FIRST_GUESS
    while True:
        places, classes, codes = np.empty(size, np.int64), np.empty(size, labels.dtype), np.empty(size, np.uint8)
        found = surface_cells(labels, places, classes, codes)
        if found <= size:
            areas = surfel_areas_mm2(tuple(float(s) for s in spacing_mm))
            return Surface(places[:found], classes[:found], areas[codes[:found]])
        size = found


@lru_cache(maxsize=64)
def surfel_areas_mm2(spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Area of the surface in a cell for each set of corners inside, (256,) mm^2; bit 4 dz + 2 dy + dx is a corner.

    The triangles are those of Lorensen and Cline's marching cubes through the middles of the edges; a set of more than
    four corners has the surface of its complement. These are the areas of google-deepmind/surface-distance.
    """
    areas = np.zeros(256)
    for code in range(1, 255):
        corners = code if code.bit_count() <= 4 else 255 - code
        cell = np.array([corners >> bit & 1 for bit in range(8)], np.float64).reshape(2, 2, 2)
        vertices, faces, _, _ = marching_cubes(cell, 0.5, method="lorensen")
        triangles = (vertices.astype(np.float64) * spacing_mm)[faces]
        normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        areas[code] = np.linalg.norm(normals, axis=1).sum() / 2
    return areas


def points_mm(places: np.ndarray, shape: Sequence[int], spacing_mm: np.ndarray) -> np.ndarray:
    """(n, 3) positions of flat indices, mm."""
    return np.stack(np.unravel_index(places, shape), axis=1) * spacing_mm


def _search_ball(
    one: Surface, other: Surface, shape: Sequence[int], spacing: np.ndarray, largest_mm: float
) -> np.ndarray:
    steps, lengths = _ball(shape, spacing, largest_mm)
    nearest = np.full(len(one.places), np.inf)
    last = max(1, *(int(s.classes.max(initial=0)) for s in (one, other)))
    for start in range(1, last + 1, CLASSES_AT_ONCE):
        end = min(start + CLASSES_AT_ONCE, last + 1)
        kind = next(np.dtype(f"u{size}") for size in (1, 2, 4, 8) if 8 * size >= end - start)
        marks = np.zeros(int(np.prod(shape)), kind)
        chosen = [(s.classes >= start) & (s.classes < end) for s in (one, other)]
        bits = [kind.type(1) << (s.classes[c] - start).astype(kind) for s, c in zip((one, other), chosen, strict=True)]
        mark(other.places[chosen[1]], bits[1], marks)
        found = np.full(int(chosen[0].sum()), np.inf)
        nearest_marked(one.places[chosen[0]], bits[0], marks, steps, lengths, found)
        nearest[chosen[0]] = found
    return nearest


def _ball(shape: Sequence[int], spacing: np.ndarray, radius_mm: float) -> tuple[np.ndarray, np.ndarray]:
    reach = np.floor((radius_mm + TIE_MM) / spacing).astype(int)
    offsets = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    lengths = np.linalg.norm(offsets * spacing, axis=1)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] <= radius_mm + TIE_MM]
    return offsets[order] @ np.array([shape[1] * shape[2], shape[2], 1]), lengths[order]


def _ask_tree(one: Surface, other: Surface, shape: Sequence[int], spacing: np.ndarray, _: float) -> np.ndarray:
    nearest = np.full(len(one.places), np.inf)
    for number in np.unique(one.classes):
        chosen, goals = one.classes == number, other.classes == number
        if goals.any():
            tree = KDTree(points_mm(other.places[goals], shape, spacing), balanced_tree=False)
            nearest[chosen] = tree.query(points_mm(one.places[chosen], shape, spacing))[0]
    return nearest


def _weighted_percentile(distances: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(distances)
    shares = np.cumsum(weights[order]) / weights.sum()
    return float(distances[order][min(int(np.searchsorted(shares, 0.95)), len(order) - 1)])

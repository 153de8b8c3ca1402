"""What is measured on a case and on a cohort. Pure functions of arrays and spacings, (d, h, w) everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numba
import numpy as np

from impulse_nnunet.evaluation.overlap import dice_per_label
from impulse_nnunet.geometry.boxes import bounding_box
from impulse_nnunet.lungs.anatomy import LOBE_OF_SEGMENT, LOBES
from impulse_nnunet.phantom.compiled import compiled, parallel
from impulse_nnunet.phantom.voxels import stray_places

BORDER_TOLERANCE_MM = 2.0
TOUCHING = 0.51  # of the longest edge: a voxel that touches a border counts as near, however thick the slices
TREES = ("airway", "artery", "vein")
INTERIOR_STRIDE = 3  # every third voxel along an axis stands for the interior
CLEAR_MM = 1.5  # parenchyma lies at least so far from every tree voxel, and at least one voxel
Float = float | None


def measure_case(
    image: np.ndarray | None, labels: Mapping[str, np.ndarray], spacing_mm: Sequence[float]
) -> dict[str, Float | int | list[float]]:
    """All properties of a case.

    Args:
        image: (d, h, w) HU; None leaves the contrasts out.
        labels: Labels as in :class:`impulse_nnunet.phantom.case.Case`.
        spacing_mm: (d, h, w).

    Returns:
        Name -> number; None where there is nothing to measure.
    """
    segments = labels["segments"]
    found: dict[str, Float | int | list[float]] = {}
    for name in ("airway", "artery"):
        found[f"{name}_in_own_segment"] = share_in_own_segment(labels[f"{name}_labels"], segments)
    tolerance = max(BORDER_TOLERANCE_MM, TOUCHING * max(spacing_mm))
    found["interseg_near_border"] = share_near_border(labels["interseg"], segments, spacing_mm, tolerance)
    found["lung_near_border"] = share_near_border(_every_nth(segments), segments, spacing_mm, tolerance)
    found["segments_in_pieces"] = segments_in_pieces(segments)
    for name in TREES:
        found[f"{name}_pieces"] = number_of_pieces(labels[name])
    found["lobe_shares"] = lobe_shares(segments)
    found["lung_litres"] = float(np.count_nonzero(segments) * np.prod(spacing_mm) / 1e6)
    if image is not None:
        tree = np.zeros(segments.shape, np.uint8)
        for name in TREES:
            tree |= labels[name]
        found["segment_border_hu"], found["fissure_hu"] = border_contrasts(image, segments, tree, spacing_mm)
    return found


def share_in_own_segment(classes: np.ndarray, segments: np.ndarray) -> Float:
    """Share of a tree's voxels of class 1 to 18 that lie in the segment of that number; None without any."""
    served = classes > 0
    total = int(np.count_nonzero(served))
    return float(np.count_nonzero(classes[served] == segments[served]) / total) if total else None


def share_near_border(
    mask: np.ndarray, segments: np.ndarray, spacing_mm: Sequence[float], tolerance_mm: float = BORDER_TOLERANCE_MM
) -> Float:
    """Share of a mask's voxels whose centre is near a border: the faces between voxels of two segments.

    Args:
        mask: Not 0 where it counts.
        segments: 0 outside the lungs; faces to 0 are no borders.
        spacing_mm: (d, h, w).
        tolerance_mm: What near means.
    """
    places = np.flatnonzero(mask)
    if not len(places):
        return None
    near = _near_border(places, np.ascontiguousarray(segments), np.asarray(spacing_mm, np.float64), tolerance_mm + 1e-6)
    return float(near.mean())


@parallel
def _near_border(places: np.ndarray, segments: np.ndarray, spacing: np.ndarray, tolerance: float) -> np.ndarray:
    depth, height, width = segments.shape
    near = np.zeros(places.size, np.bool_)
    reach = np.ceil(tolerance / spacing + 0.5).astype(np.int64)
    for n in numba.prange(places.size):
        z, y, x = places[n] // (height * width), places[n] // width % height, places[n] % width
        for a in range(max(0, z - reach[0]), min(depth, z + reach[0] + 1)):
            for b in range(max(0, y - reach[1]), min(height, y + reach[1] + 1)):
                for c in range(max(0, x - reach[2]), min(width, x + reach[2] + 1)):
                    if segments[a, b, c] > 0 and not near[n]:
                        near[n] = _face_within(segments, z, y, x, a, b, c, spacing, tolerance)
    return near


@compiled
def _face_within(
    segments: np.ndarray, z: int, y: int, x: int, a: int, b: int, c: int, spacing: np.ndarray, tolerance: float
) -> bool:
    """Whether a face between voxel (a, b, c) and the next one along an axis is a border within reach of (z, y, x)."""
    own = segments[a, b, c]
    for axis in range(3):
        da, db, dc = int(axis == 0), int(axis == 1), int(axis == 2)
        if a + da >= segments.shape[0] or b + db >= segments.shape[1] or c + dc >= segments.shape[2]:
            continue
        other = segments[a + da, b + db, c + dc]
        if other == 0 or other == own:
            continue
        dz = max(0.0, abs(a - z + 0.5 * da) - 0.5 * (1 - da)) * spacing[0]
        dy = max(0.0, abs(b - y + 0.5 * db) - 0.5 * (1 - db)) * spacing[1]
        dx = max(0.0, abs(c - x + 0.5 * dc) - 0.5 * (1 - dc)) * spacing[2]
        if dz * dz + dy * dy + dx * dx <= tolerance * tolerance:
            return True
    return False


def _every_nth(segments: np.ndarray) -> np.ndarray:
    chosen = np.zeros_like(segments)
    step = (slice(None, None, INTERIOR_STRIDE),) * 3
    chosen[step] = segments[step]
    return chosen


def number_of_pieces(mask: np.ndarray) -> int:
    """26-connected pieces of a mask."""
    rest = (mask > 0).astype(np.uint8)
    number = 0
    while rest.any():
        stray = stray_places(rest)
        kept = np.zeros(rest.size, np.uint8)
        kept[stray] = 1
        rest, number = kept.reshape(rest.shape), number + 1
    return number


def segments_in_pieces(segments: np.ndarray) -> int:
    """How many segments are not in one 26-connected piece."""
    return len(np.unique(segments.reshape(-1)[stray_places(np.ascontiguousarray(segments))]))


def lobe_shares(segments: np.ndarray) -> list[float]:
    """Share of the lungs' volume of each lobe, per cent."""
    volumes = np.bincount(segments.reshape(-1), minlength=19)[1:19]
    total = max(1, int(volumes.sum()))
    return [round(100 * float(sum(volumes[part - 1] for part in parts)) / total, 2) for parts in LOBES.values()]


def border_contrasts(
    image: np.ndarray, segments: np.ndarray, tree: np.ndarray, spacing_mm: Sequence[float]
) -> tuple[Float, Float]:
    """How much brighter parenchyma is at segment borders within a lobe, and at fissures, than elsewhere; HU.

    Parenchyma is what no tree and no surface of the lungs comes near.

    Args:
        image: HU.
        segments: 0 outside the lungs.
        tree: Not 0 in bronchi and vessels.
        spacing_mm: (d, h, w).

    Returns:
        Difference at borders, at fissures; None where no such voxel is clear of trees.
    """
    sums = np.zeros((segments.shape[1], 3))
    counts = np.zeros((segments.shape[1], 3))
    clear = np.maximum(1, np.ceil(CLEAR_MM / np.asarray(spacing_mm))).astype(np.int64)
    _gather(image, np.ascontiguousarray(segments), tree, np.asarray(LOBE_OF_SEGMENT), clear, sums, counts)
    return _contrast(sums, counts, 1), _contrast(sums, counts, 2)


def _contrast(sums: np.ndarray, counts: np.ndarray, kind: int) -> Float:
    """Mean difference to the interior at the same distance from the front, because gravity makes the back denser."""
    both = (counts[:, 0] > 0) & (counts[:, kind] > 0)
    if not both.any():
        return None
    means = sums[both] / np.maximum(counts[both], 1)
    return float(np.average(means[:, kind] - means[:, 0], weights=counts[both, kind]))


@parallel
def _gather(
    image: np.ndarray,
    segments: np.ndarray,
    tree: np.ndarray,
    lobe: np.ndarray,
    clear: np.ndarray,
    sums: np.ndarray,
    counts: np.ndarray,
) -> None:
    for y in numba.prange(clear[1], segments.shape[1] - clear[1]):
        for z in range(clear[0], segments.shape[0] - clear[0]):
            for x in range(clear[2], segments.shape[2] - clear[2]):
                if segments[z, y, x] == 0:
                    continue
                kind = _kind(segments, lobe, z, y, x)
                sampled = z % INTERIOR_STRIDE == 0 and y % INTERIOR_STRIDE == 0 and x % INTERIOR_STRIDE == 0
                if (kind > 0 or sampled) and _is_clear(segments, tree, clear, z, y, x):
                    sums[y, kind] += image[z, y, x]
                    counts[y, kind] += 1


@compiled
def _kind(segments: np.ndarray, lobe: np.ndarray, z: int, y: int, x: int) -> int:
    """0 inside a segment, 1 at a border within a lobe, 2 at a border between lobes."""
    own, kind = segments[z, y, x], 0
    for da, db, dc in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)):
        other = segments[z + da, y + db, x + dc]
        if other != own and other > 0:
            kind = max(kind, 1 if lobe[other] == lobe[own] else 2)
    return kind


@compiled
def _is_clear(segments: np.ndarray, tree: np.ndarray, clear: np.ndarray, z: int, y: int, x: int) -> bool:
    for a in range(z - clear[0], z + clear[0] + 1):
        for b in range(y - clear[1], y + clear[1] + 1):
            for c in range(x - clear[2], x + clear[2] + 1):
                if tree[a, b, c] != 0 or segments[a, b, c] == 0:
                    return False
    return True


def lung_box_map(segments: np.ndarray, size: int = 64, whole: bool = False) -> np.ndarray:
    """Nearest-neighbour resampling of the lungs' box, or of the whole image, to a cube of ``size`` voxels; uint8."""
    found = None if whole else bounding_box(segments)
    lower, upper = (np.zeros(3, int), np.asarray(segments.shape)) if found is None else found
    axes = [
        low + ((2 * np.arange(size) + 1) * (high - low)) // (2 * size) for low, high in zip(lower, upper, strict=True)
    ]
    return segments[np.ix_(*axes)]


def template_dice(training: Sequence[np.ndarray], held_out: Sequence[np.ndarray]) -> float:
    """Mean Dice over segments and held-out cases of the label that most training cases have at each place, per cent.

    Args:
        training: Label maps of one shape.
        held_out: Likewise; segments that such a case lacks do not count.
    """
    votes = np.zeros((19, *training[0].shape), np.uint16)
    for labels in training:
        for label in range(19):
            votes[label] += labels == label
    template = votes.argmax(0).astype(np.uint8)
    dice = [dice_per_label(labels, template, 19) for labels in held_out]
    present = [np.isin(np.arange(1, 19), labels) for labels in held_out]
    return 100 * float(np.mean([values[there].mean() for values, there in zip(dice, present, strict=True)]))

"""Random training points and their labels (paper, section 4.5 and Fig. 10)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impulse_nnunet.coordinates import Box, inside, voxel_indices

IGNORED = -1
ROUNDS = 8


def draw_points(
    rng: np.random.Generator,
    box: Box,
    shape: Sequence[int],
    number: int,
    mask_share: float = 0.0,
    mask_voxels: np.ndarray | None = None,
    annotated_voxels: np.ndarray | None = None,
) -> np.ndarray:
    """Draw points of a box that have a label.

    A share of the points falls inside the masks, the rest is uniform in the part of the box that lies in the image and
    is annotated. Where a list of voxels leaves nothing inside the box, uniform points take its place.

    Args:
        rng: Random numbers.
        box: The training box.
        shape: Native shape (d, h, w) of the image.
        number: Points to draw.
        mask_share: Share of points drawn inside masks.
        mask_voxels: (n, 3) voxel indices inside masks, or None.
        annotated_voxels: (n, 3) voxel indices that have a label, or None if all have.

    Returns:
        (number, 3) float32 box positions in [-1, 1].
    """
    in_masks = round(number * mask_share) if mask_voxels is not None and len(mask_voxels) else 0
    parts = [] if in_masks == 0 else [_in_voxels(rng, box, shape, in_masks, mask_voxels)]
    rest = number - sum(len(part) for part in parts)
    if annotated_voxels is None:
        parts.append(_uniform_in_image(rng, box, rest))
    else:
        parts.append(_in_voxels(rng, box, shape, rest, annotated_voxels))
    points = np.concatenate(parts)
    if len(points) < number:
        points = np.concatenate([points, _uniform_in_image(rng, box, number - len(points))])
    return points.astype(np.float32)


def labels_at(segmentation: np.ndarray, box: Box, points: np.ndarray, ignore_label: int | None) -> np.ndarray:
    """Labels of box positions by nearest neighbour in the native segmentation.

    Args:
        segmentation: (d, h, w) native; negative values (nnU-Net's "outside") are background.
        box: The training box.
        points: (n, 3) box positions.
        ignore_label: Becomes :data:`IGNORED`, as do positions outside the image.

    Returns:
        (n,) int64.
    """
    positions = box.to_image(points.astype(np.float64))
    index = voxel_indices(positions, segmentation.shape)
    labels = segmentation[tuple(index.T)].astype(np.int64)
    labels[labels < 0] = 0
    if ignore_label is not None:
        labels[labels == ignore_label] = IGNORED
    labels[~inside(positions)] = IGNORED
    return labels


def _uniform_in_image(rng: np.random.Generator, box: Box, number: int) -> np.ndarray:
    """Uniform box positions whose image positions lie in the image; a box always overlaps its image."""
    found: list[np.ndarray] = []
    missing = number
    for _ in range(ROUNDS):
        candidates = rng.uniform(-1, 1, (missing, 3))
        kept = candidates[inside(box.to_image(candidates))]
        found.append(kept)
        missing -= len(kept)
        if missing == 0:
            return np.concatenate(found)
    kept = np.concatenate(found)
    if len(kept):
        return np.concatenate([kept, kept[rng.integers(0, len(kept), missing)]])
    return rng.uniform(-1, 1, (number, 3))


def _in_voxels(
    rng: np.random.Generator, box: Box, shape: Sequence[int], number: int, voxels: np.ndarray | None
) -> np.ndarray:
    """Box positions inside random voxels of a list; fewer than asked for where none of them lies in the box."""
    if voxels is None or not len(voxels):
        return np.empty((0, 3))
    size = np.asarray(shape, np.float64)
    found: list[np.ndarray] = []
    missing = number
    for _ in range(ROUNDS):
        chosen = voxels[rng.integers(0, len(voxels), 2 * missing)]
        positions = 2 * (chosen + rng.random((2 * missing, 3))) / size - 1
        points = box.from_image(positions)
        kept = points[inside(points)][:missing]
        found.append(kept)
        missing -= len(kept)
        if missing == 0:
            break
    return np.concatenate(found)

"""Random training points and their labels (paper, section 4.5 and Fig. 10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.geometry.coordinates import inside, voxel_indices

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
    region_share: float = 0.0,
    region: Box | None = None,
) -> np.ndarray:
    """Draw points of a box that have a label.

    One share of the points falls inside the masks, one in the region of interest, the rest is uniform in the part of
    the box that lies in the image; all of them where voxels are annotated. What a share does not find in the box goes
    to the rest.

    Args:
        rng: Random numbers.
        box: The training box.
        shape: Native shape (d, h, w) of the image.
        number: Points to draw.
        mask_share: Share of points drawn inside masks.
        mask_voxels: (n, 3) annotated voxel indices inside masks, or None.
        annotated_voxels: (n, 3) voxel indices that have a label, or None if all have.
        region_share: Share of points drawn in the region of interest.
        region: Upright box of the region of interest in the image.

    Returns:
        (number, 3) float32 box positions in [-1, 1].
    """
    voxels = VoxelDraw(rng, shape)
    parts = [np.empty((0, 3))]
    if mask_voxels is not None and len(mask_voxels):
        parts.append(_accepted(box, round(number * mask_share), lambda n: voxels(mask_voxels, n)))
    if region is not None:
        parts.append(_accepted(box, round(number * region_share), _proposal(rng, region, annotated_voxels, voxels)))
    rest = number - sum(len(part) for part in parts)
    parts.append(_accepted(box, rest, _proposal(rng, box, annotated_voxels, voxels)))
    points = np.concatenate(parts)
    if not len(points):  # sparse annotation that misses the box: these points will have no label
        return rng.uniform(-1, 1, (number, 3)).astype(np.float32)
    missing = number - len(points)
    return np.concatenate([points, points[rng.integers(0, len(points), missing)]]).astype(np.float32)


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


@dataclass(frozen=True)
class VoxelDraw:
    """Draws image positions uniformly inside random voxels of a list.

    Args:
        rng: Random numbers.
        shape: Native shape (d, h, w) of the image.
    """

    rng: np.random.Generator
    shape: Sequence[int]

    def __call__(self, voxels: np.ndarray, number: int) -> np.ndarray:
        """(number, 3) image positions inside voxels of an (n, 3) list of indices."""
        chosen = voxels[self.rng.integers(0, len(voxels), number)]
        return 2 * (chosen + self.rng.random((number, 3))) / np.asarray(self.shape, np.float64) - 1


def _proposal(
    rng: np.random.Generator, area: Box, annotated_voxels: np.ndarray | None, voxels: VoxelDraw
) -> Callable[[int], np.ndarray]:
    """A source of image positions in an area; of annotated ones where there is a list."""
    if annotated_voxels is None:
        return lambda n: area.to_image(rng.uniform(-1, 1, (n, 3)))
    centres = 2 * (annotated_voxels + 0.5) / np.asarray(voxels.shape, np.float64) - 1
    within = annotated_voxels[inside(area.from_image(centres))]
    return lambda n: voxels(within, n) if len(within) else np.full((n, 3), np.inf)


def _accepted(box: Box, number: int, propose: Callable[[int], np.ndarray]) -> np.ndarray:
    """Box positions of proposed image positions that lie in the box and the image; at most ``number``."""
    found = [np.empty((0, 3))]
    missing = number
    for _ in range(ROUNDS):
        if missing == 0:
            break
        positions = propose(2 * missing)
        points = box.from_image(positions[inside(positions)])
        kept = points[inside(points)][:missing]
        found.append(kept)
        missing -= len(kept)
    return np.concatenate(found)

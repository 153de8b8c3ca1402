"""Random training boxes: where the input grid lies in the image (continuous-coordinate augmentation).

The image is interpolated once, on the box's grid, and points and labels follow analytically; no label map is ever
interpolated.
"""

from __future__ import annotations

import numpy as np

from impulse_nnunet.geometry.boxes import Box, region_box
from impulse_nnunet.settings import AugmentationSettings, RegionSettings


def random_region_box(rng: np.random.Generator, foreground_faces: np.ndarray, region: RegionSettings) -> Box:
    """A training box before augmentation.

    ``whole``: the image. ``two_pass``: for a share of the samples anything from tight to the whole image, for the rest
    the region with jittered faces; so one network serves both passes.
    """
    if region.mode == "whole":
        return Box.whole()
    lower, upper = region_box(foreground_faces, region.margin).faces
    if rng.random() < region.whole_share:
        towards = min(1.0, 1.1 * rng.random())  # exactly the whole image for one sample in eleven
        return Box.from_faces(lower + towards * (-1 - lower), upper + towards * (1 - upper))
    edge = upper - lower
    shift = np.clip(rng.normal(0, region.jitter, (2, 3)), -2 * region.jitter, 2 * region.jitter) * edge
    return Box.from_faces(np.maximum(lower + shift[0], -1), np.minimum(upper + shift[1], 1))


def augment_box(rng: np.random.Generator, box: Box, image_extent_mm: np.ndarray, settings: AugmentationSettings) -> Box:
    """Rotate, scale and shift a box in physical space.

    Args:
        rng: Random numbers.
        box: Upright box.
        image_extent_mm: (3,) edges of the image; rotation is rigid in mm.
        settings: Ranges.
    """
    angles = rng.uniform(-settings.rotation, settings.rotation, 3)
    scale = 1 + rng.uniform(-settings.scale, settings.scale)
    shift = rng.uniform(-settings.shift, settings.shift, 3)
    half = image_extent_mm / 2
    turned = np.diag(1 / half) @ rotation_matrix(angles) @ np.diag(half)
    return Box(scale * turned @ box.matrix, box.centre + box.matrix @ (2 * shift))


def rotation_matrix(angles: np.ndarray) -> np.ndarray:
    """Product of the rotations by ``angles`` (radians) about the axes d, h and w: (3, 3)."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [i for i in range(3) if i != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix

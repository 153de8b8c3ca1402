"""Random training boxes: where the input grid lies in the image (continuous-coordinate augmentation).

The image is interpolated once, on the box's grid, and points and labels follow analytically; no label map is ever
interpolated. That holds for the smooth deformation too: the same sine waves move the grid's centres and the points.
"""

from __future__ import annotations

import numpy as np

from impulse_nnunet.geometry.boxes import Box, region_box
from impulse_nnunet.geometry.deformation import STEEPEST, Deformation, DeformedBox
from impulse_nnunet.settings import AugmentationSettings, RegionSettings

WAVES = 8
LONGEST_WAVE = 4.0  # box edges; longer waves are all but shifts


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
    """Rotate, scale and shift a box in physical space; then, where asked for, scale its axes and deform it.

    What is off draws no random numbers, so settings from before mean the same boxes.

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
    matrix, centre = scale * turned @ box.matrix, box.centre + box.matrix @ (2 * shift)
    if settings.axis_scale > 0:
        matrix = matrix * (1 + rng.uniform(-settings.axis_scale, settings.axis_scale, 3))
    if settings.deformation <= 0:
        return Box(matrix, centre)
    return DeformedBox(matrix, centre, random_deformation(rng, settings.deformation, settings.deformation_frequency))


def random_deformation(rng: np.random.Generator, deviation: float, frequency: float) -> Deformation:
    """A smooth deformation of box positions that does not fold.

    Directions of waves and of movements are isotropic in box units, frequencies uniform from a wave across four edges
    to ``frequency`` waves across one. A wave that would be too steep gets the largest amplitude that is allowed.

    Args:
        rng: Random numbers.
        deviation: Standard deviation of the displacement along each axis, box units (half an edge).
        frequency: Most waves across an edge.
    """
    directions = rng.normal(size=(WAVES, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    waves = rng.uniform(min(1 / LONGEST_WAVE, frequency), frequency, (WAVES, 1))
    amplitudes = rng.normal(0, deviation * np.sqrt(2 / WAVES), (WAVES, 3))  # the mean of a squared sine is a half
    vectors = np.pi * waves * directions  # two box units an edge
    steepness = np.abs(np.einsum("ij,ij->i", amplitudes, vectors))
    amplitudes *= np.minimum(1, STEEPEST / np.maximum(steepness, STEEPEST))[:, None]
    return Deformation(amplitudes, vectors, rng.uniform(-np.pi, np.pi, WAVES))


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

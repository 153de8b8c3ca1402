"""Segments: first territories of drawn shares, then borders half-way between the trees' branches."""

from __future__ import annotations

import numba
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from impulse_nnunet.lungs.anatomy import LOBE_OF_SEGMENT, LOBES
from impulse_nnunet.phantom import fields as f
from impulse_nnunet.phantom.grids import Grid
from impulse_nnunet.phantom.patient import Patient, warp_at
from impulse_nnunet.phantom.randomness import stream

SEED_JITTER_MM = 11.0
WEIGHT_STEPS = 40
SMOOTHING_VOXELS = 1.1
MARGIN_MM = 6.0  # fields reach so far beyond their lobe
# Middle of each segment in the standard patient, (z, y, x) mm
CENTRES = np.array(
    [
        (0.0, 0.0, 0.0),
        (32.0, 8.0, -62.0),
        (72.0, 44.0, -86.0),
        (86.0, -48.0, -72.0),
        (150.0, -34.0, -104.0),
        (166.0, -58.0, -56.0),
        (96.0, 64.0, -64.0),
        (192.0, 14.0, -44.0),
        (188.0, -8.0, -98.0),
        (198.0, 38.0, -106.0),
        (200.0, 64.0, -58.0),
        (42.0, 20.0, 66.0),
        (82.0, -44.0, 70.0),
        (124.0, -40.0, 96.0),
        (166.0, -54.0, 82.0),
        (100.0, 64.0, 66.0),
        (190.0, 0.0, 92.0),
        (200.0, 40.0, 106.0),
        (202.0, 66.0, 60.0),
    ]
)


def first_territories(lobes: np.ndarray, grid: Grid, patient: Patient, seed: int, case: int) -> np.ndarray:
    """Share out each lobe by a power diagram in the standard patient's space.

    Args:
        lobes: (d, h, w) 0 outside the lungs, 1 to 5.
        grid: Their grid.
        patient: Whose segment shares are to be met.
        seed: Seed of the cohort.
        case: Number of the case.

    Returns:
        (d, h, w) uint8 segments.
    """
    rng = stream(seed, case, "territories")
    centres = CENTRES + rng.normal(0, SEED_JITTER_MM, CENTRES.shape)
    territories = np.zeros(lobes.shape, np.uint8)
    for lobe, parts in enumerate(LOBES.values(), 1):
        present = np.array([part for part in parts if patient.segment_shares[part] > 0])
        inside = lobes == lobe
        standard = warp_at(grid.positions(np.argwhere(inside)), patient.body, patient.warp)
        distances = ((standard[:, None] - centres[present]) ** 2).sum(2)
        weights = _fit_weights(distances[::4], patient.segment_shares[present])
        territories[inside] = present[np.argmin(distances - weights, axis=1)]
    return territories


def _fit_weights(squared_mm: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Weights of a power diagram whose cells hold given shares of the points."""
    weights = np.zeros(len(shares))
    for step in range(WEIGHT_STEPS):
        found = np.bincount(np.argmin(squared_mm - weights, axis=1), minlength=len(shares)) / len(squared_mm)
        weights += 6000.0 / (1 + 0.1 * step) * (shares - found)
    return weights


def segment_fields(
    body: np.ndarray, lobes: np.ndarray, grid: Grid, points_mm: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Smooth membership of each segment, each defined a little beyond its own lobe.

    Args:
        body: (d, h, w, field).
        lobes: (d, h, w) lobe of every voxel, as if the lungs filled everything.
        grid: Their grid.
        points_mm: (n, 3) points along the trees' branches.
        labels: (n,) segment of each point.

    Returns:
        (d, h, w, 18) float32; within a lobe the largest of its segments' fields names the segment.
    """
    out = np.zeros((*lobes.shape, 18), np.float32)
    lobe_of_point = np.asarray(LOBE_OF_SEGMENT)[labels]
    near_lung = body[..., f.LUNG] > -MARGIN_MM
    margin = int(np.ceil(MARGIN_MM / grid.spacing_mm[0]))
    for lobe in range(1, 6):
        chosen = lobe_of_point == lobe
        own = near_lung & (lobes == lobe)
        box = tuple(
            slice(max(0, part.start - margin), part.stop + margin)
            for part in ndimage.find_objects(own.astype(np.uint8))[0]
        )
        region = ndimage.binary_dilation(own[box], iterations=margin) & near_lung[box]
        corner = np.array([part.start for part in box])
        places = np.argwhere(region)
        nearest = cKDTree(points_mm[chosen]).query(grid.positions(places + corner), workers=numba.get_num_threads())[1]
        found = np.zeros(region.shape, np.uint8)
        found[region] = labels[chosen][nearest]
        for label in np.unique(labels[chosen]):
            out[..., label - 1][box] = ndimage.gaussian_filter(
                (found == label).astype(np.float32), SMOOTHING_VOXELS, mode="constant", truncate=3.0
            )
    return out

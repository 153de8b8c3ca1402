"""Lobes: bent, tilted fissure surfaces, placed so that the drawn lobe shares are met."""

from __future__ import annotations

import numpy as np

from impulse_nnunet.phantom import fields as f
from impulse_nnunet.phantom.grids import Grid
from impulse_nnunet.phantom.patient import Patient, warp_at
from impulse_nnunet.phantom.randomness import stream

NEVER_MM = -30.0  # there is no horizontal fissure in the left lung
MIDLINE_MM = 3.0  # of the mediastinum, in the standard patient


def add_fissures(body: np.ndarray, grid: Grid, patient: Patient, seed: int, case: int) -> None:
    """Fill the fields of the fissures, in place; distances in mm near the fissure.

    Args:
        body: (d, h, w, field) of :func:`impulse_nnunet.phantom.body.body_fields`.
        grid: Its grid.
        patient: Whose lobe shares are to be met.
        seed: Seed of the cohort.
        case: Number of the case.
    """
    near = body[..., f.LUNG] > -10.0
    standard = warp_at(grid.positions(np.argwhere(near)), patient.body, patient.warp)
    right = standard[:, 2] < MIDLINE_MM
    rng = stream(seed, case, "fissures")
    oblique = np.zeros(len(standard))
    for side in (right, ~right):
        oblique[side] = _oblique_height(standard[side], rng)
    body[..., f.OBLIQUE][near] = oblique
    body[..., f.HORIZONTAL][near] = np.where(right, _horizontal_height(standard, rng), NEVER_MM)
    meet_lobe_shares(body, patient)


def meet_lobe_shares(body: np.ndarray, patient: Patient) -> None:
    """Move the fissures, in place, so that the lobes of what is lung now have the patient's shares of their lung."""
    near = body[..., f.LUNG] > -10.0
    inside, right = body[..., f.LUNG][near] > 0, body[..., f.SIDE][near] < MIDLINE_MM
    oblique, horizontal = body[..., f.OBLIQUE][near], body[..., f.HORIZONTAL][near]
    shares = patient.lobe_shares
    for side, upper, lower in ((right, shares[0] + shares[1], shares[2]), (~right, shares[3], shares[4])):
        oblique[side] -= np.quantile(oblique[side & inside], upper / (upper + lower))
    above = right & inside & (oblique <= 0)
    horizontal[right] -= np.quantile(horizontal[above], shares[0] / (shares[0] + shares[1]))
    body[..., f.OBLIQUE][near], body[..., f.HORIZONTAL][near] = oblique, horizontal


def lobes_of(body: np.ndarray) -> np.ndarray:
    """Lobe (1 to 5) of every voxel as if the lungs filled everything, from the fields; uint8."""
    right = np.where(body[..., f.OBLIQUE] > 0, 3, np.where(body[..., f.HORIZONTAL] > 0, 2, 1))
    left = np.where(body[..., f.OBLIQUE] > 0, 5, 4)
    return np.where(body[..., f.SIDE] < MIDLINE_MM, right, left).astype(np.uint8)


def _bend(standard: np.ndarray, rng: np.random.Generator, amplitude_mm: float) -> np.ndarray:
    """A smooth wave along the surface."""
    total = np.zeros(len(standard))
    for _ in range(3):
        direction = rng.normal(size=3)
        direction *= 2 * np.pi / (rng.uniform(90, 200) * np.sqrt((direction**2).sum()))
        phase = rng.uniform(0, 2 * np.pi)
        total += rng.normal(0, amplitude_mm) * np.sin((standard * direction).sum(1) + phase)
    return total


def _oblique_height(standard: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distance under a surface that falls from the upper back to the lower front."""
    angle = np.deg2rad(np.clip(rng.normal(50, 5), 38, 62))
    height = standard[:, 0] * np.cos(angle) + standard[:, 1] * np.sin(angle)
    lateral = (np.abs(standard[:, 2]) - 70) / 60
    return np.asarray(height + rng.normal(6, 3) * lateral**2 + rng.normal(0, 4) * lateral + _bend(standard, rng, 2.2))


def _horizontal_height(standard: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distance under a nearly level surface."""
    tilt_y, tilt_x = rng.normal(-0.08, 0.08), rng.normal(0.05, 0.08)
    return np.asarray(standard[:, 0] + tilt_y * standard[:, 1] + tilt_x * standard[:, 2] + _bend(standard, rng, 2.0))

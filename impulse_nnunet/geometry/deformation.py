"""Smooth deformations of a box that never fold: sine waves, one after the other.

One wave moves a position p by ``amplitude * sin(vector . p + phase)``. Its derivative is the identity plus a matrix of
rank one, so its determinant is ``1 + amplitude . vector * cos(vector . p + phase)``: positive everywhere as long as
``|amplitude . vector| < 1``, however large the amplitude is across the wave. Waves that are applied one after the other
multiply their determinants, so their chain does not fold either, and each is undone exactly: with ``e = amplitude .
vector`` and ``m = vector . q + phase`` of the moved position q, the phase y of p solves Kepler's equation
``y + e sin(y) = m``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from impulse_nnunet.geometry.boxes import Box

NEWTON_STEPS = 12  # converge to the last digits for any |e| up to STEEPEST (a test holds it)
STEEPEST = 0.5  # largest |amplitude . vector|; each wave's determinant lies in [0.5, 1.5]


@dataclass(frozen=True)
class Deformation:
    """Waves that move box positions, in this order.

    Args:
        amplitudes: (wave, 3) float64, box units.
        vectors: (wave, 3) float64, radians for each box unit (a box's edge has two).
        phases: (wave,) float64, radians.

    Raises:
        ValueError: A wave that is so steep that space could fold.
    """

    amplitudes: np.ndarray
    vectors: np.ndarray
    phases: np.ndarray

    def __post_init__(self) -> None:
        steepest = np.abs(self.steepness).max(initial=0.0)
        if steepest > STEEPEST + 1e-12:
            raise ValueError(
                f"deformation: found a wave of steepness {steepest:.3g}, expected at most {STEEPEST}; "
                "lower its amplitude or its frequency"
            )

    @property
    def steepness(self) -> np.ndarray:
        """(wave,) by how much each wave's determinant differs from 1 at most, with its sign where the cosine is 1."""
        return np.einsum("ij,ij->i", self.amplitudes, self.vectors)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Move (n, 3) box positions."""
        for amplitude, vector, phase in self._waves():
            points = points + np.sin(points @ vector + phase)[:, None] * amplitude
        return points

    def on(self, points: Tensor) -> Tensor:
        """Move box positions (..., 3) where they lie, in their own precision."""
        for wave in self._waves():
            amplitude, vector = (torch.as_tensor(part, dtype=points.dtype, device=points.device) for part in wave[:2])
            points = points + torch.sin(points @ vector + float(wave[2]))[..., None] * amplitude
        return points

    def inverse(self, points: np.ndarray) -> np.ndarray:
        """Where (n, 3) moved positions came from."""
        for amplitude, vector, phase in reversed(self._waves()):
            steepness = amplitude @ vector
            moved = points @ vector + phase
            angle = moved.copy()
            for _ in range(NEWTON_STEPS):
                angle -= (angle + steepness * np.sin(angle) - moved) / (1 + steepness * np.cos(angle))
            points = points - np.sin(angle)[:, None] * amplitude
        return points

    def _waves(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return list(zip(self.amplitudes, self.vectors, self.phases, strict=True))


@dataclass(frozen=True)
class DeformedBox(Box):
    """A box whose positions are moved before its affine map: ``image = matrix @ deformation(p) + centre``.

    For training alone; decoding knows upright and turned boxes.

    Args:
        matrix: (3, 3) float64.
        centre: (3,) float64.
        deformation: Of box positions.
    """

    deformation: Deformation

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Map (n, 3) box positions to image positions."""
        return super().to_image(self.deformation(points))

    def from_image(self, points: np.ndarray) -> np.ndarray:
        """Map (n, 3) image positions to box positions; exact, also outside the box."""
        return self.deformation.inverse(super().from_image(points))

"""What varies from patient to patient, drawn once for each case."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from impulse_nnunet.lungs.anatomy import LOBES
from impulse_nnunet.phantom.randomness import stream
from impulse_nnunet.phantom.settings import FUSIONS, MISSING, PhantomSettings

WAVES = 7  # sine waves of the warp
# Share of the lungs' volume and its standard deviation, supine (PMC7490509), per cent
LOBE_SHARES = ((17.9, 2.4), (9.3, 1.6), (26.5, 2.6), (23.1, 2.1), (23.2, 2.4))
SEGMENT_VARIATION = 0.22  # standard deviation of the logarithm of a segment's share of its lobe


class Body(NamedTuple):
    """The shape of one patient; lengths in standard mm, the lungs of the standard patient are 245 mm high.

    A named tuple, because compiled code reads it.
    """

    scale_z: float
    scale_y: float
    scale_x: float
    heart: float  # size, 1 for the standard heart
    heart_x: float
    right_dome: float
    left_dome: float
    fat: float  # thickness of the fat under the skin
    muscle: float  # thickness of the chest wall
    kyphosis: float
    breast: float  # 0 for none
    rib_phase: float


class Warp(NamedTuple):
    """A smooth displacement: a sum of sine waves."""

    amplitudes: np.ndarray  # (wave, 3) mm
    frequencies: np.ndarray  # (wave, 3) radian/mm
    phases: np.ndarray  # (wave,)


class Patient(NamedTuple):
    """Everything that is drawn for a case before its anatomy is made."""

    body: Body
    warp: Warp
    lobe_shares: np.ndarray  # (5,) of both lungs, sum 1
    segment_shares: np.ndarray  # (19,) of the segment's lobe; 0 where it is missing
    renamed: np.ndarray  # (19,) label that each segment gets: its own, or that of the one it is fused with
    anomaly: str  # in words, empty for none
    contrast: bool
    disconnected: bool


def draw_patient(settings: PhantomSettings, case: int) -> Patient:
    """Draw a patient, deterministic by the seed and the case's number."""
    rng = stream(settings.seed, case, "patient")
    lobes = np.array([max(mean - 2.5 * sd, rng.normal(mean, sd)) for mean, sd in LOBE_SHARES])
    shares = np.zeros(19)
    for parts in LOBES.values():
        shares[list(parts)] = np.exp(rng.normal(0, SEGMENT_VARIATION, len(parts)))
    shares[[7, 13, 14]] *= 0.7  # the small ones
    renamed, anomaly = np.arange(19), ""
    body, warp = _draw_body(settings.seed, case), _draw_warp(settings.seed, case)
    chance = stream(settings.seed, case, "options").random(4)
    if chance[0] < settings.anomalies:
        anomaly = _make_anomaly(chance[1], shares, renamed)
    contrast = {"none": False, "contrast": True}.get(settings.contrast, bool(chance[2] < 0.5))
    for parts in LOBES.values():
        shares[list(parts)] /= shares[list(parts)].sum()
    disconnected = bool(chance[3] < settings.disconnected)
    return Patient(body, warp, lobes / lobes.sum(), shares, renamed, anomaly, contrast, disconnected)


def _make_anomaly(chance: float, shares: np.ndarray, renamed: np.ndarray) -> str:
    """Take a segment away or fuse two, in place; ``chance`` from 0 to 1 chooses; returns it in words."""
    choice = int(chance * (len(FUSIONS) + len(MISSING)))
    if choice < len(FUSIONS):
        kept, lost = FUSIONS[choice]
        renamed[lost] = kept
        return f"{lost} fused with {kept}"
    lost = MISSING[choice - len(FUSIONS)]
    shares[lost] = 0
    return f"{lost} missing"


def _draw_body(seed: int, case: int) -> Body:
    rng = stream(seed, case, "body")
    size = np.clip(rng.normal(1.0, 0.045), 0.9, 1.09)
    scale = np.clip(size * np.exp(rng.normal(0, [0.035, 0.045, 0.03])), 0.87, [1.07, 1.12, 1.11])
    female = rng.random() < 0.45
    return Body(
        scale_z=float(scale[0]),
        scale_y=float(scale[1]),
        scale_x=float(scale[2]),
        heart=float(np.clip(rng.normal(1.0, 0.07), 0.85, 1.18)),
        heart_x=float(rng.normal(0, 4.0)),
        right_dome=float(np.clip(rng.normal(0, 7.0), -14, 12)),
        left_dome=float(np.clip(rng.normal(0, 7.0), -14, 12)),
        fat=float(np.clip(rng.normal(11.0, 5.0), 4, 24)),
        muscle=float(np.clip(rng.normal(17.0, 2.0), 13, 22)),
        kyphosis=float(rng.normal(11.0, 3.5)),
        breast=float(rng.uniform(0.7, 1.2)) if female else 0.0,
        rib_phase=float(rng.uniform(-6, 6)),
    )


def _draw_warp(seed: int, case: int) -> Warp:
    rng = stream(seed, case, "warp")
    directions = rng.normal(size=(WAVES, 3))
    directions /= np.sqrt((directions**2).sum(1, keepdims=True))
    lengths = rng.uniform(110, 260, (WAVES, 1))
    amplitudes = rng.normal(0, 1, (WAVES, 3)) * lengths / 260 * 3.1 * np.array([1.2, 1.0, 1.0])
    return Warp(amplitudes, directions * 2 * np.pi / lengths, rng.uniform(0, 2 * np.pi, WAVES))


def warp_at(positions_mm: np.ndarray, body: Body, warp: Warp) -> np.ndarray:
    """Positions in the standard patient of (n, 3) positions in this patient."""
    phase = positions_mm @ warp.frequencies.T + warp.phases
    scale = np.array([body.scale_z, body.scale_y, body.scale_x])
    return np.asarray((positions_mm + np.sin(phase) @ warp.amplitudes) / scale)


def from_standard(standard_mm: np.ndarray, body: Body, warp: Warp) -> np.ndarray:
    """Positions in this patient of (n, 3) positions in the standard one: the inverse of :func:`warp_at`."""
    scale = np.array([body.scale_z, body.scale_y, body.scale_x])
    positions = np.asarray(standard_mm, np.float64) * scale
    for _ in range(12):
        positions = positions + (standard_mm - warp_at(positions, body, warp)) * scale
    return positions

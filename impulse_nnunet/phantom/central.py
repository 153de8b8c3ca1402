"""The trees' central parts: trachea and main bronchi, pulmonary arteries and veins, and the hubs in the lobes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from impulse_nnunet.phantom.grids import Grid
from impulse_nnunet.phantom.patient import Patient, from_standard

BRONCHUS_TO_ARTERY = 0.70  # of the radii
HUB_DEPTH_MM = 7.0  # a hub lies at least so deep in its lobe, where the lobe is thick enough


class Hub(NamedTuple):
    """A place where segmental bronchi part."""

    lobe: int
    segments: tuple[int, ...]
    place: tuple[float, float, float]  # wished for, in the standard patient
    bronchus: str  # the node of the airway that leads here
    artery: str  # the node of the arteries that leads here
    radius_mm: float  # of the bronchus


HUBS = {
    "right upper": Hub(1, (1, 2, 3), (90.0, 10.0, -46.0), "right main", "right artery", 4.6),
    "right middle": Hub(2, (4, 5), (134.0, -10.0, -46.0), "intermediate", "right interlobar", 3.6),
    "right lower": Hub(3, (6,), (124.0, 26.0, -44.0), "intermediate", "right interlobar", 4.6),
    "right basal": Hub(3, (7, 8, 9, 10), (146.0, 30.0, -56.0), "right lower", "right lower", 4.0),
    "left upper": Hub(4, (11, 12), (94.0, 0.0, 52.0), "left main", "left artery", 4.3),
    "lingula": Hub(4, (13, 14), (120.0, -12.0, 56.0), "left main", "left interlobar", 3.6),
    "left lower": Hub(5, (15,), (126.0, 28.0, 46.0), "left main", "left interlobar", 4.6),
    "left basal": Hub(5, (16, 17, 18), (148.0, 32.0, 56.0), "left lower", "left lower", 4.0),
}
# name: (parent, (z, y, x) in the standard patient, radius mm)
AIRWAY: dict[str, tuple[str | None, tuple[float, float, float], float]] = {
    "top": (None, (-90.0, -10.0, 0.0), 8.8),
    "neck": ("top", (-30.0, -4.0, 0.0), 8.8),
    "trachea": ("neck", (36.0, 6.0, 2.0), 8.8),
    "carina": ("trachea", (82.0, 14.0, 3.0), 8.6),
    "right main": ("carina", (94.0, 15.0, -16.0), 6.8),
    "intermediate": ("right main", (114.0, 16.0, -30.0), 5.4),
    "left bend": ("carina", (96.0, 17.0, 20.0), 6.2),
    "left main": ("left bend", (110.0, 17.0, 38.0), 5.8),
}
ARTERIES: dict[str, tuple[str | None, tuple[float, float, float], float]] = {
    "valve": (None, (140.0, -50.0, 16.0), 13.2),
    "trunk": ("valve", (112.0, -36.0, 20.0), 13.2),
    "fork": ("trunk", (101.0, -18.0, 20.0), 12.0),
    "right turn": ("fork", (104.0, -5.0, -4.0), 9.2),
    "right artery": ("right turn", (104.0, -3.0, -28.0), 8.4),
    "right interlobar": ("right artery", (118.0, 2.0, -42.0), 7.2),
    "left arch": ("fork", (92.0, -4.0, 32.0), 9.4),
    "left artery": ("left arch", (92.0, 10.0, 40.0), 8.6),
    "left interlobar": ("left artery", (110.0, 28.0, 50.0), 7.2),
}
ATRIUM_OPENINGS = {  # of the veins, by lobe: (z, y, x), in the left atrium's wall
    1: (124.0, 2.0, -22.0),
    2: (128.0, 2.0, -24.0),
    3: (138.0, 10.0, -22.0),
    4: (122.0, 0.0, 24.0),
    5: (138.0, 10.0, 24.0),
}
VEIN_WAYPOINTS = {
    1: (116.0, -8.0, -36.0),
    2: (128.0, -8.0, -38.0),
    3: (142.0, 16.0, -36.0),
    4: (114.0, -12.0, 38.0),
    5: (142.0, 16.0, 38.0),
}


class Skeleton(NamedTuple):
    """Named nodes of a central tree, parents first."""

    names: list[str]
    points_mm: np.ndarray  # (n, 3)
    parents: np.ndarray  # (n,)
    radii_mm: np.ndarray  # (n,)


def place_hubs(lobes: np.ndarray, depth_mm: np.ndarray, grid: Grid, patient: Patient) -> dict[str, np.ndarray]:
    """Put each hub at the place in its own lobe that is nearest to where it is wished for.

    Args:
        lobes: (d, h, w), 0 outside the lungs.
        depth_mm: (d, h, w) distance to the surface of the own lobe.
        grid: Their grid.
        patient: Whose warp is used.
    """
    places = {}
    for name, hub in HUBS.items():
        wished = from_standard(np.array([hub.place]), patient.body, patient.warp)[0]
        inside = lobes == hub.lobe
        needed = min(HUB_DEPTH_MM, 0.6 * float(depth_mm[inside].max()))
        candidates = grid.positions(np.argwhere(inside & (depth_mm >= needed)))
        places[name] = candidates[((candidates - wished) ** 2).sum(1).argmin()]
    return places


def central_airway(hubs: dict[str, np.ndarray], patient: Patient) -> Skeleton:
    """Trachea, main and lobar bronchi up to the hubs."""
    leads = {name: (hub.bronchus, hubs[name], hub.radius_mm) for name, hub in HUBS.items()}
    return _skeleton(AIRWAY, leads, patient)


def central_arteries(hubs: dict[str, np.ndarray], patient: Patient, rng: np.random.Generator) -> Skeleton:
    """Pulmonary trunk, main and lobar arteries up to their own hubs, in front of the bronchial ones and lateral."""
    aside = rng.normal(size=3) * 0.35 + np.array([0.1, -1.0, 0.0])
    leads = {}
    for name, hub in HUBS.items():
        way = aside + np.array([0.0, 0.0, -0.6 if hubs[name][2] < 0 else 0.6])
        radius = hub.radius_mm / BRONCHUS_TO_ARTERY
        gap = hub.radius_mm + radius + 2.0
        leads[name] = (hub.artery, hubs[name] + way / np.sqrt((way**2).sum()) * gap, radius)
    return _skeleton(ARTERIES, leads, patient)


def _skeleton(
    fixed: dict[str, tuple[str | None, tuple[float, float, float], float]],
    leads: dict[str, tuple[str, np.ndarray, float]],
    patient: Patient,
) -> Skeleton:
    names = [*fixed, *leads]
    standard = np.array([place for _, place, _ in fixed.values()])
    points = np.concatenate(
        [from_standard(standard, patient.body, patient.warp), np.stack([place for _, place, _ in leads.values()])]
    )
    before = [parent for parent, _, _ in fixed.values()] + [parent for parent, _, _ in leads.values()]
    parents = np.array([-1 if parent is None else names.index(parent) for parent in before])
    radii = np.array([radius for _, _, radius in fixed.values()] + [radius for _, _, radius in leads.values()])
    return Skeleton(names, points, parents, radii)

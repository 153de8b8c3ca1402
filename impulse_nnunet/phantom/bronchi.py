"""Bronchi that fill each segment's territory, and arteries that run beside them."""

from __future__ import annotations

import numpy as np

from impulse_nnunet.lungs.anatomy import LOBE_OF_SEGMENT
from impulse_nnunet.phantom.central import BRONCHUS_TO_ARTERY, HUBS, Skeleton
from impulse_nnunet.phantom.grids import Grid, one_from_each_cell
from impulse_nnunet.phantom.patient import Patient
from impulse_nnunet.phantom.randomness import stream
from impulse_nnunet.phantom.tree import MURRAY, Tree, fill_territory

POINT_SPACING_MM = 8.5  # of the points that the trees serve
SEGMENTAL_RADIUS_MM = 2.7  # of the lumen; with a wall of 1.1 mm a diameter of 7.6 mm (PMC9929973: 5.8-8.4)
ENTRY_PULL = 0.4  # how far the segmental bronchus goes towards the middle of its territory


def grow_bronchi(
    territories: np.ndarray,
    allowed: np.ndarray,
    depth_mm: np.ndarray,
    hubs: dict[str, np.ndarray],
    central: Skeleton,
    grid: Grid,
    patient: Patient,
    seed: int,
    case: int,
) -> Tree:
    """The whole airway, down to branches that no CT shows.

    Args:
        territories: (d, h, w) first territories, 0 outside the lungs.
        allowed: (d, h, w) uint8, the lobe where branches may run, 0 where none may.
        depth_mm: (d, h, w) distance to the surface of the own territory.
        hubs: Places of the lobar ends.
        central: Trachea, main and lobar bronchi.
        grid: Grid of the arrays.
        patient: Who is made.
        seed: Seed of the cohort.
        case: Number of the case.
    """
    parts = [Tree(central.points_mm, central.parents, central.radii_mm, np.zeros(len(central.parents), np.uint8))]
    count = len(central.parents)
    for name, hub in HUBS.items():
        for label in hub.segments:
            if patient.segment_shares[label] == 0:
                continue
            rng = stream(seed, case, f"bronchi {label}")
            part = _grow_segment(territories == label, allowed == hub.lobe, depth_mm, hubs[name], grid, label, rng)
            parents = np.where(part.parents < 0, central.names.index(name), part.parents + count)
            parts.append(part._replace(parents=parents))
            count += len(parents)
    return Tree(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _grow_segment(
    inside: np.ndarray,
    allowed: np.ndarray,
    depth_mm: np.ndarray,
    hub: np.ndarray,
    grid: Grid,
    label: int,
    rng: np.random.Generator,
) -> Tree:
    places = np.argwhere(inside)
    points = grid.positions(places)
    deep = depth_mm[inside] >= min(5.0, 0.6 * float(depth_mm[inside].max()))
    cost = np.sqrt(((points - hub) ** 2).sum(1)) + ENTRY_PULL * np.sqrt(((points - points.mean(0)) ** 2).sum(1))
    entry = points[deep][cost[deep].argmin()]
    served = _spread_points(points, rng)
    way = entry - hub
    heading = way / max(1e-6, np.sqrt((way**2).sum()))
    edge, first = grid.spacing_mm[0], np.array(grid.first_mm)
    ends, parents, numbers = fill_territory(served.copy(), entry, heading, allowed, first, edge)
    radius = SEGMENTAL_RADIUS_MM * float(np.clip(len(places) * grid.volume_mm3 / 270e3, 0.5, 1.6)) ** (1 / MURRAY)
    radius *= float(np.exp(rng.normal(0, 0.06)))
    # a root at the entry, reached from the hub by the caller; the bronchus is bent a little on its way
    bend = hub + 0.5 * way + rng.normal(0, 0.06 * np.sqrt((way**2).sum()), 3)
    nodes = np.concatenate([[bend, entry], ends])
    before = np.concatenate([[-1, 0], np.where(parents < 0, 1, parents + 2)])
    radii = radius * np.concatenate([[1, 1], (numbers / len(served)) ** (1 / MURRAY)])
    return Tree(nodes, before, radii, np.full(len(nodes), label, np.uint8))


def _spread_points(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of the points from each cell of a coarse grid, in random order within its cell."""
    shuffled = points[rng.permutation(len(points))]
    chosen = one_from_each_cell(shuffled, POINT_SPACING_MM)
    return shuffled[chosen] + rng.uniform(-1, 1, (len(chosen), 3))


def accompany(airway: Tree, central: Skeleton, lobes: np.ndarray, grid: Grid, seed: int, case: int) -> Tree:
    """Arteries beside the bronchi, a little thicker than they are.

    Args:
        airway: The whole airway.
        central: Trunk, main and lobar arteries.
        lobes: (d, h, w), 0 outside the lungs.
        grid: Grid of the lobes.
        seed: Seed of the cohort.
        case: Number of the case.
    """
    rng = stream(seed, case, "arteries")
    segmental = np.flatnonzero(airway.labels > 0)
    points, radii = _beside(airway, segmental, lobes, grid, rng)
    number = np.full(len(airway.labels), -1)
    number[segmental] = np.arange(len(segmental)) + len(central.parents)
    before = airway.parents[segmental]
    parents = np.where(airway.labels[before] > 0, number[before], -1)
    parents = np.where(parents < 0, _hub_numbers(airway.labels[segmental], central), parents)
    return Tree(
        np.concatenate([central.points_mm, points]),
        np.concatenate([central.parents, parents]),
        np.concatenate([central.radii_mm, radii]),
        np.concatenate([np.zeros(len(central.parents), np.uint8), airway.labels[segmental]]),
    )


def _hub_numbers(labels: np.ndarray, central: Skeleton) -> np.ndarray:
    number = np.zeros(19, np.int64)
    for name, hub in HUBS.items():
        number[list(hub.segments)] = central.names.index(name)
    return number[labels]


def _beside(
    airway: Tree, nodes: np.ndarray, lobes: np.ndarray, grid: Grid, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Points beside bronchi, in the same lobe, and the radii of the arteries there."""
    way = airway.points_mm[nodes] - airway.points_mm[airway.parents[nodes]]
    way /= np.maximum(1e-6, np.sqrt((way**2).sum(1, keepdims=True)))
    reference = (rng.normal(size=(19, 3)) + np.array([-0.5, -0.8, 0.0]))[airway.labels[nodes]]
    side = reference - (reference * way).sum(1, keepdims=True) * way
    size = np.sqrt((side**2).sum(1, keepdims=True))
    side = np.where(size > 1e-3, side / np.maximum(size, 1e-3), 0.0)
    radii = airway.radii_mm[nodes] / BRONCHUS_TO_ARTERY
    gap = np.minimum(radii + airway.radii_mm[nodes] + 0.9, 9.0)[:, None]
    lobe = np.asarray(LOBE_OF_SEGMENT)[airway.labels[nodes]]
    points = airway.points_mm[nodes] + gap * side
    for factor in (-1.0, 0.4, 0.0):
        wrong = lobes[tuple(grid.indices(points).T)] != lobe
        points[wrong] = (airway.points_mm[nodes] + factor * gap * side)[wrong]
    return points, radii

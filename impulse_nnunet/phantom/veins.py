"""Veins: cheapest ways from the borders between segments to the hilum, along those borders."""

from __future__ import annotations

import heapq
import itertools

import numpy as np

from impulse_nnunet.lungs.anatomy import LOBES
from impulse_nnunet.phantom import fields as f
from impulse_nnunet.phantom.central import ATRIUM_OPENINGS, VEIN_WAYPOINTS
from impulse_nnunet.phantom.compiled import compiled
from impulse_nnunet.phantom.grids import Grid, one_from_each_cell
from impulse_nnunet.phantom.patient import Patient, from_standard
from impulse_nnunet.phantom.randomness import stream
from impulse_nnunet.phantom.tree import MURRAY, Tree

BORDER_SPACING_MM, INNER_SPACING_MM = 7.0, 13.0  # of the places that veins drain
LOBAR_RADIUS_MM = 5.2
THICKEST_INTERSEGMENTAL_MM = 1.8
ON_BORDER = 0.22  # lead of the first segment, of the places that veins drain
PLEURA_MM = 3.5
SMOOTHING_STEPS = 4
NEAR_BORDER = 0.8  # nodes with a smaller lead are moved onto the border
PROJECTION_STEPS, LARGEST_MOVE_MM, SLOPE_MM, MIN_SLOPE = 2, 1.5, 1.5, 0.03
ON_BORDER_MM = 0.6


def grow_veins(
    membership: np.ndarray,
    body: np.ndarray,
    lobes: np.ndarray,
    airway: Tree,
    grid: Grid,
    patient: Patient,
    seed: int,
    case: int,
) -> tuple[Tree, np.ndarray]:
    """The pulmonary veins with the left atrium's openings.

    Args:
        membership: (d, h, w, 18) smooth fields of the segments.
        body: (d, h, w, field).
        lobes: (d, h, w), 0 outside the lungs.
        airway: Kept away from, where it is thick.
        grid: Grid of the arrays.
        patient: Who is made.
        seed: Seed of the cohort.
        case: Number of the case.

    Returns:
        The tree, whose labels are the segments that inner veins drain and 0 for the others; (n,) whether a piece is an
        intersegmental vein.
    """
    rng = stream(seed, case, "veins")
    pair, margin = _two_largest(membership, lobes)
    cost = _cost(margin, body, lobes, airway, grid, rng)
    roots = {lobe: _root(lobe, lobes, body, grid, patient) for lobe in range(1, 6)}
    distance, parent = cheapest_ways(cost, lobes, np.array(list(roots.values())))
    drained = _drained(margin, body, lobes, distance, grid, rng)
    nodes, parents, flow, root_of = _merge(drained, parent.reshape(-1), distance.reshape(-1), lobes.shape)
    points = grid.positions(np.stack(np.unravel_index(nodes, lobes.shape), 1)) + rng.normal(0, 0.5, (len(nodes), 3))
    pair, near = pair.reshape(-1, 2)[nodes], margin.reshape(-1)[nodes] < NEAR_BORDER
    for _ in range(2):
        points = _smooth(points, parents, flow)
        points, gap = _onto_borders(points, pair, near & (parents >= 0), membership, grid)
    total = flow[root_of]
    volumes = np.bincount(lobes.reshape(-1), minlength=6) * grid.volume_mm3
    lobe = lobes.reshape(-1)[nodes]
    radii = LOBAR_RADIUS_MM * (volumes[lobe] / 1.0e6) ** (1 / MURRAY) * (flow / total) ** (1 / MURRAY)
    on_border = gap < ON_BORDER_MM
    renamed = patient.renamed[pair + 1]
    between = on_border & (on_border[parents] | (parents < 0)) & (renamed[:, 0] != renamed[:, 1])
    between &= radii <= THICKEST_INTERSEGMENTAL_MM
    labels = np.where(between | (radii > THICKEST_INTERSEGMENTAL_MM), 0, pair[:, 0] + 1).astype(np.uint8)
    return _join_atrium(Tree(points, parents, radii, labels), between, lobe, patient)


def _two_largest(membership: np.ndarray, lobes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two segments of the own lobe that a voxel belongs to most, numbers from 0; by how much the first leads.

    Returns:
        (d, h, w, 2) and (d, h, w); the lead is 1 outside the lungs.
    """
    pair = np.zeros((*lobes.shape, 2), np.int64)
    lead = np.ones(lobes.shape)
    for lobe, parts in enumerate(LOBES.values(), 1):
        inside = lobes == lobe
        own = membership[..., parts[0] - 1 : parts[-1]][inside]
        order = np.argsort(own, axis=1, kind="stable")[:, -2:]
        pair[inside] = order[:, ::-1] + parts[0] - 1
        values = np.take_along_axis(own, order, axis=1).astype(np.float64)
        lead[inside] = (values[:, 1] - values[:, 0]) / np.maximum(values.sum(1), 1e-3)
    return pair, lead


def _lead_at(points: np.ndarray, pair: np.ndarray, membership: np.ndarray, grid: Grid) -> np.ndarray:
    """Membership of each pair's first segment less that of the second, at (n, 3) points; linear interpolation."""
    raw = (points - np.asarray(grid.first_mm)) / np.asarray(grid.spacing_mm)
    low = np.clip(np.floor(raw).astype(np.int64), 0, np.asarray(grid.size) - 2)
    part = raw - low
    total = np.zeros(len(points))
    for corner in itertools.product((0, 1), repeat=3):
        place = low + corner
        weight = np.prod(np.where(corner, part, 1 - part), axis=1)
        z, y, x = place.T
        total += weight * (membership[z, y, x, pair[:, 0]] - membership[z, y, x, pair[:, 1]])
    return total


def _slope_at(points: np.ndarray, pair: np.ndarray, membership: np.ndarray, grid: Grid) -> np.ndarray:
    """(n, 3) gradient of :func:`_lead_at`, per mm."""
    ahead, behind = (
        np.stack([_lead_at(points + sign * shift, pair, membership, grid) for shift in np.eye(3) * SLOPE_MM], axis=1)
        for sign in (1, -1)
    )
    return np.asarray((ahead - behind) / (2 * SLOPE_MM))


def _onto_borders(
    points: np.ndarray, pair: np.ndarray, moving: np.ndarray, membership: np.ndarray, grid: Grid
) -> tuple[np.ndarray, np.ndarray]:
    """Move some points onto the border of their pair of segments; also how far from it each point then is, mm."""
    points, gap = points.copy(), np.full(len(points), np.inf)
    chosen = np.flatnonzero(moving)
    for step in range(PROJECTION_STEPS + 1):
        here = points[chosen]
        value = _lead_at(here, pair[chosen], membership, grid)
        slope = _slope_at(here, pair[chosen], membership, grid)
        square = np.maximum((slope**2).sum(1), MIN_SLOPE**2)
        gap[chosen] = np.abs(value) / np.sqrt(square)
        if step < PROJECTION_STEPS:
            way = -value[:, None] * slope / square[:, None]
            length = np.sqrt((way**2).sum(1, keepdims=True))
            points[chosen] = here + way * np.minimum(1.0, LARGEST_MOVE_MM / np.maximum(length, 1e-9))
    return points, gap


def _cost(
    margin: np.ndarray, body: np.ndarray, lobes: np.ndarray, airway: Tree, grid: Grid, rng: np.random.Generator
) -> np.ndarray:
    """Cost of a step, cheap on borders and expensive near the pleura, fissures and thick bronchi; infinite outside."""
    inside = lobes > 0
    near = (body[..., f.LUNG] < PLEURA_MM) * 2 + (np.abs(body[..., f.OBLIQUE]) < PLEURA_MM)
    near = near + (np.abs(body[..., f.HORIZONTAL]) < PLEURA_MM)
    cost = np.full(lobes.shape, np.inf)
    jitter = np.exp(rng.normal(0, 0.35, int(inside.sum())))
    cost[inside] = (0.35 + 4.0 * margin[inside]) * jitter + 3.0 * near[inside]
    thick = airway.points_mm[airway.radii_mm > 1.5]
    cost[tuple(grid.indices(thick).T)] += 12.0
    return cost


def _root(lobe: int, lobes: np.ndarray, body: np.ndarray, grid: Grid, patient: Patient) -> int:
    """Flat index of the lobe's voxel, not too near its surface, that is nearest to its vein's way to the atrium."""
    inside = np.flatnonzero((lobes == lobe).reshape(-1) & (body[..., f.LUNG].reshape(-1) > 3.0))
    points = grid.positions(np.stack(np.unravel_index(inside, lobes.shape), 1))
    wished = from_standard(np.array([VEIN_WAYPOINTS[lobe]]), patient.body, patient.warp)[0]
    return int(inside[((points - wished) ** 2).sum(1).argmin()])


def _drained(
    margin: np.ndarray, body: np.ndarray, lobes: np.ndarray, distance: np.ndarray, grid: Grid, rng: np.random.Generator
) -> np.ndarray:
    """Flat indices of the places that veins come from: one from each cell on borders, fewer inside."""
    reached = np.isfinite(distance) & (body[..., f.LUNG] > PLEURA_MM)
    chosen = []
    for where, spacing in ((reached & (margin < ON_BORDER), BORDER_SPACING_MM), (reached, INNER_SPACING_MM)):
        indices = rng.permutation(np.flatnonzero(where.reshape(-1)))
        points = grid.positions(np.stack(np.unravel_index(indices, lobes.shape), 1))
        chosen.append(indices[one_from_each_cell(points, spacing)])
    return np.unique(np.concatenate(chosen))


@compiled
def cheapest_ways(cost: np.ndarray, lobes: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Dijkstra's algorithm over 26-neighbours of the same lobe.

    Args:
        cost: (d, h, w) float64 of a step into a voxel, for a length of one voxel.
        lobes: (d, h, w); ways do not leave their lobe.
        sources: Flat indices.

    Returns:
        (d, h, w) cost from the nearest source, infinite where there is no way; (d, h, w) int64 flat index of the voxel
        before, -1 for none.
    """
    depth, height, width = cost.shape
    distance = np.full(cost.shape, np.inf)
    parent = np.full(cost.shape, -1, np.int64)
    queue = [(0.0, np.int64(sources[0]))]
    flat_distance, flat_parent = distance.reshape(-1), parent.reshape(-1)
    flat_distance[sources[0]] = 0.0
    for source in sources[1:]:
        flat_distance[source] = 0.0
        heapq.heappush(queue, (0.0, np.int64(source)))
    while len(queue) > 0:
        so_far, place = heapq.heappop(queue)
        if so_far > flat_distance[place]:
            continue
        z, y, x = place // (height * width), place // width % height, place % width
        for dz in range(-1, 2):
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    a, b, c = z + dz, y + dy, x + dx
                    if not (0 <= a < depth and 0 <= b < height and 0 <= c < width):
                        continue
                    if lobes[a, b, c] != lobes[z, y, x]:
                        continue
                    new = so_far + cost[a, b, c] * np.sqrt(float(dz * dz + dy * dy + dx * dx))
                    if new < distance[a, b, c]:
                        distance[a, b, c] = new
                        parent[a, b, c] = place
                        heapq.heappush(queue, (new, np.int64((a * height + b) * width + c)))
    return distance, flat_parent.reshape(cost.shape)


def _merge(
    drained: np.ndarray, parent: np.ndarray, distance: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All voxels on the ways: flat indices, parents first; number of the parent; places served; number of the root."""
    used = np.zeros(parent.size, bool)
    todo = drained
    while len(todo):
        used[todo] = True
        todo = np.unique(parent[todo])
        todo = todo[todo >= 0]
        todo = todo[~used[todo]]
    nodes = np.flatnonzero(used)
    nodes = nodes[np.argsort(distance[nodes], kind="stable")]
    number = np.full(parent.size, -1)
    number[nodes] = np.arange(len(nodes))
    before = np.where(parent[nodes] >= 0, number[parent[nodes]], -1)
    flow = np.zeros(len(nodes), np.int64)
    flow[number[drained]] = 1
    root = np.arange(len(nodes))
    for node in range(len(nodes) - 1, -1, -1):
        if before[node] >= 0:
            flow[before[node]] += flow[node]
    for node in range(len(nodes)):
        if before[node] >= 0:
            root[node] = root[before[node]]
    return nodes, before, flow, root


def _smooth(points: np.ndarray, parents: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Round the corners: each node moves between its parent and its main child; roots and ends stay."""
    main = np.full(len(points), -1)
    for node in np.argsort(flow, kind="stable"):
        if parents[node] >= 0:
            main[parents[node]] = node
    moving = np.flatnonzero((parents >= 0) & (main >= 0))
    for _ in range(SMOOTHING_STEPS):
        points = points.copy()
        points[moving] = 0.5 * points[moving] + 0.25 * (points[parents[moving]] + points[main[moving]])
    return points


def _join_atrium(tree: Tree, between: np.ndarray, lobe: np.ndarray, patient: Patient) -> tuple[Tree, np.ndarray]:
    """Lead the lobes' veins to the left atrium, which joins them to one tree."""
    ways = [np.array([(132.0, 6.0, 2.0)])]
    ways += [np.array([ATRIUM_OPENINGS[n], VEIN_WAYPOINTS[n]]) for n in range(1, 6)]
    central = from_standard(np.concatenate(ways), patient.body, patient.warp)
    before = np.array([-1, *(value for n in range(5) for value in (0, 2 * n + 1))])
    radii = np.array([9.0, *(value for _ in range(5) for value in (6.5, 5.6))])
    parents = np.where(tree.parents < 0, 2 * lobe.astype(np.int64), tree.parents + 11)
    joined = Tree(
        np.concatenate([central, tree.points_mm]),
        np.concatenate([before, parents]),
        np.concatenate([radii, tree.radii_mm]),
        np.concatenate([np.zeros(11, np.uint8), tree.labels]),
    )
    return joined, np.concatenate([np.zeros(11, bool), between])

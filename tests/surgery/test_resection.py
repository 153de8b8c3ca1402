"""The best union against every union, looked at one by one with other means."""

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from impulse_nnunet.surgery.case_trees import find_case_trees
from impulse_nnunet.surgery.plan import PlanCase, PlanSettings, make_plan

SPACING = np.array([1.5, 1.0, 1.2])


def random_case(seed):
    """Six segments in two lobes around random points, and a small lesion."""
    rng = np.random.default_rng(seed)
    shape = (22, 26, 24)
    at = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) * SPACING
    centres = rng.uniform(0, 1, (6, 3)) * np.array(shape) * SPACING
    labels = (((at[..., None, :] - centres) ** 2).sum(-1).argmin(-1) + 1).astype(np.uint8)
    labels[((at - at.reshape(-1, 3).mean(0)) ** 2).sum(-1) > 18.0**2] = 0
    inside = np.argwhere(labels > 0)
    middle = inside[rng.integers(len(inside))] * SPACING
    lesion = (((at - middle) ** 2).sum(-1) <= 2.0**2).astype(np.uint8)
    return labels, lesion


def by_force(labels, lesion, lobes, asked_mm):
    """(labels, margin) of the best union: borders between neighbouring voxels, all distances, all unions."""
    faces, pairs = [], []
    for axis in range(3):
        for index in np.argwhere(np.ones([n - (a == axis) for a, n in enumerate(labels.shape)], bool)):
            behind = index + np.eye(3, dtype=int)[axis]
            a, b = labels[tuple(index)], labels[tuple(behind)]
            if a and b and a != b:
                faces.append((index + behind) / 2 * SPACING)
                pairs.append((a, b))
    faces, pairs = np.array(faces), np.array(pairs)
    padded = np.pad(lesion, 1)
    wall = []
    for axis in range(3):
        for side in (-1, 1):
            edge = (padded > 0) & (np.roll(padded, -side, axis) == 0)
            wall.append((np.argwhere(edge) - 1 + side * 0.5 * np.eye(3)[axis]) * SPACING)
    wall = np.concatenate(wall)
    diameter = cdist(wall, wall).max()
    gaps = cdist(wall, faces).min(0)
    held = set(np.unique(labels[lesion > 0])) - {0}
    touching = set(map(tuple, np.sort(pairs, 1)))
    options = []
    groups = [group for group in lobes if held & set(group)]
    everything = [u for group in groups for n in range(1, len(group) + 1) for u in itertools.combinations(group, n)]
    everything += [tuple(sorted(sum(groups, ()))), tuple(sorted(held))]
    for union in everything:
        union = tuple(label for label in union if (labels == label).any())
        graph = {frozenset(p) for p in touching if set(p) <= set(union)}
        whole = len(union) == 1 or _one(union, graph)
        many = union in ([tuple(sorted(sum(groups, ()))), tuple(sorted(held))]) or union in groups
        if not union or not (held & set(union)) or not (whole or many):
            continue
        crossing = np.isin(pairs[:, 0], union) != np.isin(pairs[:, 1], union)
        margin = 0.0 if held - set(union) else (gaps[crossing].min() if crossing.any() else np.inf)
        good = margin >= diameter and margin >= asked_mm
        volume = np.isin(labels, union).sum() * SPACING.prod() / 1000
        options.append((not good, bool(held - set(union)), volume, union, margin))
    return min(options)


def _one(union, graph):
    matrix = np.array([[frozenset((a, b)) in graph for b in union] for a in union])
    reach = np.linalg.matrix_power(matrix.astype(int) + np.eye(len(union), dtype=int), len(union))
    return bool((reach > 0).all())


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("asked", [None, 6.0])
def test_the_best_union_is_that_of_brute_force(seed, asked):
    labels, lesion = random_case(seed)
    lobes = {"upper": (1, 2, 3), "lower": (4, 5, 6)}
    to_world = np.diag([*SPACING, 1.0])
    case = PlanCase(
        labels=labels,
        lesion=lesion,
        masks={},
        trees=find_case_trees({}, labels, to_world),
        to_world=to_world,
        lobes=lobes,
        lesion_file="lesion",
    )
    best = make_plan(case, PlanSettings(margin_mm=asked)).resections[0]
    bad, _, volume, union, margin = by_force(labels, lesion, list(lobes.values()), asked or 0.0)
    assert best.labels == union
    assert best.sufficient is not bad
    assert best.taken_ml == pytest.approx(volume)
    assert (np.inf if best.margin_mm is None else best.margin_mm) == pytest.approx(margin)


def test_fissures_and_what_stays():
    # four slabs of 10 mm; the lesion in the second, 3.5 mm from the first, 4.5 mm from the third
    labels = np.repeat(np.arange(1, 5, dtype=np.uint8), 10)[None, None, :] * np.ones((8, 8, 1), np.uint8)
    lesion = np.zeros(labels.shape, np.uint8)
    lesion[3:5, 3:5, 13:15] = 1
    to_world = np.eye(4)[[2, 1, 0, 3]]
    case = PlanCase(
        labels=labels,
        lesion=lesion,
        masks={},
        trees=find_case_trees({}, labels, to_world),
        to_world=to_world,
        lobes={"a": (1, 2), "b": (3, 4)},
        lesion_file="lesion",
    )
    plan = make_plan(case, PlanSettings())
    by_labels = {resection.labels: resection for resection in plan.resections}
    assert set(by_labels) == {(2,), (1, 2)}
    # faces of the lesion at 12.5 and 14.5, borders at 9.5 and 19.5
    assert by_labels[2,].margin_mm == 3.0
    assert by_labels[1, 2].margin_mm == 5.0
    assert by_labels[1, 2].margin_in_lobe_mm is None
    assert by_labels[2,].taken_ml == pytest.approx(0.64)
    assert by_labels[2,].left_ml == pytest.approx(1.92)
    # the largest diameter, between face centres, is sqrt(2^2 + 1 + 1)
    assert plan.lesion.largest_diameter_mm == pytest.approx(6**0.5)
    assert plan.resections[0].labels == (2,)
    strict = make_plan(case, PlanSettings(margin_mm=4.0)).resections[0]
    assert strict.labels == (1, 2)
    assert strict.sufficient_for_margin is True
    open_fissures = make_plan(case, PlanSettings(margin_mm=6.0, complete_fissures=True)).resections[0]
    assert open_fissures.labels == (1, 2)
    assert open_fissures.margin_mm is None
    assert open_fissures.sufficient

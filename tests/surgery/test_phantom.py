"""Trees of a phantom against its own: segments along the branches, diameters, cut points, veins between segments."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from impulse_nnunet.phantom.anatomy import make_anatomy
from impulse_nnunet.phantom.case import choose_grid, make_labels, thinnest_mm
from impulse_nnunet.phantom.settings import PhantomSettings
from impulse_nnunet.surgery.case_trees import find_case_trees
from impulse_nnunet.surgery.cuts import find_cuts, kept_veins
from impulse_nnunet.surgery.faces import values_at
from impulse_nnunet.surgery.subsegments import divide
from impulse_nnunet.surgery.variants import find_variants

SETTINGS = PhantomSettings(size=(200, 200, 240), spacing_mm=(1.5, 1.5, 1.5))
STEP_MM = 0.5


class Truth:
    """Points along the true lines of a tree that its mask shows."""

    def __init__(self, anatomy, name, grid):
        tree = getattr(anatomy, name)
        shown = tree.radii_mm >= thinnest_mm(name, grid)
        between = anatomy.intersegmental if name == "vein" else np.zeros(len(shown), bool)
        ends = np.flatnonzero((tree.parents >= 0) & shown)
        before = tree.parents[ends]
        start, way = tree.points_mm[before], tree.points_mm[ends] - tree.points_mm[before]
        length = np.linalg.norm(way, axis=1)
        count = np.maximum(1, np.ceil(length / STEP_MM)).astype(int)
        which = np.repeat(np.arange(len(ends)), count)
        part = (np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count) + 0.5) / count[which]
        self.points = (start[which] + way[which] * part[:, None])[:, ::-1] * [1, 1, -1]  # to LPS
        self.weights = (length / count)[which]
        labels = np.where(tree.labels > 0, anatomy.patient.renamed[tree.labels], 0)
        self.labels, self.between = labels[ends][which], between[ends][which]
        thin = tree.radii_mm[ends]
        wide = np.minimum(tree.radii_mm[before], 1.25 * thin)  # pieces are painted as cones
        self.radii = wide[which] + (thin - wide)[which] * part
        self.thin = thin[which]

    def share(self, right, of):
        return float(self.weights[right & of].sum() / self.weights[of].sum())


@pytest.fixture(scope="module")
def scene():
    anatomy = make_anatomy(SETTINGS, 3)
    grid = choose_grid(anatomy, SETTINGS, 3)
    labels = make_labels(anatomy, grid, SETTINGS, 3)
    dz, dy, dx = grid.spacing_mm
    to_world = np.array([[0.0, 0, dx, 0], [0, dy, 0, 0], [-dz, 0, 0, 0], [0, 0, 0, 1]])
    to_world[:3, 3] = [grid.first_mm[2], grid.first_mm[1], -grid.first_mm[0]]
    labels["subsegments"] = true_subsegments(anatomy, labels["segments"], to_world)
    masks = {name: labels[name] for name in ("airway", "artery", "vein")}
    found = find_case_trees(masks, labels["segments"], to_world)
    truths = {name: Truth(anatomy, name, grid) for name in masks}
    return labels["segments"], to_world, found, truths, labels["subsegments"]


def true_subsegments(anatomy, segments, to_world):
    """Each voxel by the nearest true branch of its segment: on which side of the first fork it comes from."""
    tree = anatomy.airway
    side = np.zeros(len(tree.parents), int)
    for node in range(len(side)):
        parent = tree.parents[node]
        if parent >= 0 and tree.labels[node] and tree.labels[node] == tree.labels[parent]:
            siblings = np.flatnonzero(tree.parents == parent)
            first_fork = side[parent] == 0 and len(siblings) > 1
            side[node] = 1 + int(np.flatnonzero(siblings == node)[0]) if first_fork else side[parent]
    ends = np.flatnonzero(side > 0)
    part = np.linspace(0, 1, 12)[:, None, None]
    points = tree.points_mm[tree.parents[ends]] * (1 - part) + tree.points_mm[ends] * part
    points = points.reshape(-1, 3)[:, ::-1] * [1, 1, -1]
    sides, owner = np.tile(side[ends], 12), np.tile(anatomy.patient.renamed[tree.labels[ends]], 12)
    out = np.zeros(segments.shape, np.uint16)
    for label in range(1, 19):
        places = np.argwhere(segments == label)
        nearest = KDTree(points[owner == label]).query(places @ to_world[:3, :3].T + to_world[:3, 3])[1]
        out[tuple(places.T)] = 10 * label + sides[owner == label][nearest]
    return out


def at_truth(named, truth, of_branch):
    """Values of the found branches at the true points nearest to them."""
    points = np.concatenate([branch.points_mm for branch in named.tree.branches])
    which = np.repeat(np.arange(len(named.tree.branches)), [len(b.points_mm) for b in named.tree.branches])
    return np.asarray(of_branch)[which][KDTree(points).query(truth.points)[1]]


@pytest.mark.parametrize("name", ["airway", "artery"])
def test_segments_are_right_along_the_branches(scene, name):
    _, _, found, truths, _ = scene
    named, truth = found.trees[name], truths[name]
    labels = at_truth(named, truth, [service.label for service in named.services])
    assert truth.share(labels == truth.labels, truth.labels > 0) >= 0.98


def test_the_lines_are_those_of_the_phantom_and_diameters_are_within_half_a_voxel(scene):
    _, _, found, truths, _ = scene
    named, truth = found.trees["airway"], truths["airway"]
    points = np.concatenate([branch.points_mm for branch in named.tree.branches])
    radii = np.concatenate([branch.radii_mm for branch in named.tree.branches])
    gap, nearest = KDTree(truth.points).query(points)
    assert (gap <= 1.5).mean() >= 0.95
    assert (KDTree(points).query(truth.points)[0] <= 2.5).mean() >= 0.95
    errors = 2 * (radii - truth.radii[nearest])[gap <= 1.5]
    assert abs(np.median(errors)) <= 0.2
    assert (np.abs(errors) <= 0.75).mean() >= 0.9


def test_one_tree_with_its_root_at_the_upper_end_of_the_trachea(scene):
    _, _, found, _, _ = scene
    tree = found.trees["airway"].tree
    assert [branch.id for branch in tree.branches if branch.parent < 0] == [0]
    points = np.concatenate([branch.points_mm for branch in tree.branches])
    assert tree.branches[0].points_mm[0, 2] >= points[:, 2].max() - 8
    assert found.apart["airway"] == ()


def test_each_segmental_bronchus_is_cut_once_where_it_enters(scene):
    segments, to_world, found, _, _ = scene
    airway = found.trees["airway"]
    for label in range(1, 19):
        cuts = find_cuts(airway, {label}, segments, to_world)
        assert len(cuts) == 1, label
        assert cuts[0].label == label
        near = values_at(
            segments, np.array(cuts[0].position_mm)[None] + np.concatenate([np.eye(3), -np.eye(3)]) * 3.0, to_world
        )
        assert label in near
    assert len(find_cuts(airway, {1, 2, 3}, segments, to_world)) == 3


def test_veins_between_segments(scene):
    _, _, found, truths, _ = scene
    named, truth = found.trees["vein"], truths["vein"]
    told = at_truth(named, truth, [course.between is not None for course in named.courses])
    assert truth.share(told, truth.between) >= 0.95
    decided = truth.between | (truth.labels > 0)  # the phantom calls thick ones neither
    assert truth.share(truth.between, told & decided) >= 0.9


def test_kept_veins_lie_between_what_is_taken_and_what_stays(scene):
    _, _, found, _, _ = scene
    kept = kept_veins(found.trees["vein"], {1, 2})
    assert kept
    for vein in kept:
        assert vein.between[0] in (1, 2)
        assert vein.between[1] not in (1, 2)
    assert [vein.length_mm for vein in kept] == sorted((vein.length_mm for vein in kept), reverse=True)


def test_variants(scene):
    segments, to_world, found, _, _ = scene
    volumes = dict.fromkeys(range(1, 19), 100.0) | {7: 5.0}
    found_ones = find_variants(found.trees, segments, to_world, volumes, (19,))
    kinds = {(str(one["kind"]), tuple(one["labels"])) for one in found_ones}
    assert ("missing segment", (19,)) in kinds
    assert ("tiny segment", (7,)) in kinds
    assert not [kind for kind in kinds if kind[0] in ("segment without bronchus", "several bronchi")]
    emptied = np.where(segments == 9, 10, segments)
    volumes.pop(9)
    without = find_variants({"airway": found.trees["airway"]}, emptied, to_world, volumes | {19: 100.0}, ())
    assert {"kind": "segment without bronchus", "labels": [19]} in without


def test_subsegments_are_those_of_the_true_tree(scene):
    segments, to_world, found, _, truth = scene
    divided = divide(found.trees["airway"], segments, to_world)
    assert np.array_equal(divided > 0, segments > 0)
    assert np.array_equal(divided[divided > 0] // 10, segments[segments > 0])
    scores = []
    for label in np.unique(truth[truth > 0]):
        own = truth == label
        found_ones, counts = np.unique(divided[own], return_counts=True)
        best = found_ones[counts.argmax()]
        scores.append(2 * counts.max() / (own.sum() + (divided == best).sum()))
    assert np.mean(scores) >= 0.85

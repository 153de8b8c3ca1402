"""Branches of rods whose lines, lengths and diameters are known."""

import numpy as np
import pytest

from impulse_nnunet.surgery.graph import find_tree
from impulse_nnunet.surgery.joining import join_pieces
from impulse_nnunet.surgery.territory import serve
from tests.surgery.solids import positions, random_grid, rod

# a trunk along z from (0, 0, 27) to the fork, two branches, one of which forks again; in a frame of its own
TRUNK = (np.array([0.0, 0, 27]), np.array([0.0, 0, 12]), 4.0)
LEFT = (np.array([0.0, 0, 12]), np.array([18.0, 0, -14]), 2.6)
RIGHT = (np.array([0.0, 0, 12]), np.array([-17.0, 4, -16]), 2.6)
SHAPE = (72, 70, 74)


def y_tree(to_world, gap=None):
    at = positions(SHAPE, to_world)
    frame = to_world[:3, :3] / np.linalg.norm(to_world[:3, :3], axis=0)
    local = (at - at.reshape(-1, 3).mean(0)) @ frame  # the tree turns with the grid's axes: it always fits
    turn = np.linalg.qr(np.array([[1.0, 0.3, 0.2], [-0.2, 1.0, 0.1], [0.1, -0.3, 1.0]]))[0]
    local = local @ turn
    masks = [rod(local, *one) for one in (TRUNK, LEFT, RIGHT)]
    mask = masks[0] | masks[1] | masks[2]
    if gap is not None:
        along = (local - LEFT[0]) @ (LEFT[1] - LEFT[0]) / np.linalg.norm(LEFT[1] - LEFT[0])
        mask &= ~(rod(local, LEFT[0], LEFT[1], 3.5) & (along > gap[0]) & (along < gap[1]))
    labels = np.where(local[..., 0] > 0, 1, 2).astype(np.uint8) * (local[..., 2] < 9)
    return mask, labels


@pytest.mark.parametrize("seed", range(4))
def test_a_fork_on_any_grid(seed):
    to_world = random_grid(np.random.default_rng(seed), (0.95, 1.6))
    mask, labels = y_tree(to_world)
    tree = find_tree(mask, to_world)
    assert [branch.parent for branch in tree.branches] == [-1, 0, 0]
    assert [branch.generation for branch in tree.branches] == [0, 1, 1]
    voxel = float(np.linalg.norm(to_world[:3, :3], axis=0).max())
    trunk, *others = tree.branches
    assert trunk.mean_diameter_mm == pytest.approx(8.0, abs=0.5 * voxel)
    # lines end at the mask's end, a radius behind the rods' ends: 15 + 4; sqrt(18^2 + 26^2) + 2.6 = 34.2; 33.0 + 2.6
    assert trunk.length_mm == pytest.approx(19.0, abs=3 * voxel)
    for branch in others:
        assert branch.mean_diameter_mm == pytest.approx(5.2, abs=0.5 * voxel)
    assert sorted(branch.length_mm for branch in others) == pytest.approx([34.2, 35.6], abs=3 * voxel)
    services = serve(tree, labels, to_world)
    assert services[0].label == 0
    assert services[0].feeds == (1, 2)
    assert sorted(service.label for service in services[1:]) == [1, 2]
    assert all(service.confidence > 0.9 for service in services[1:])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flipping_the_array_changes_nothing_beyond_a_voxel(axis):
    to_world = random_grid(np.random.default_rng(9), (1.0, 1.5))
    mask, _ = y_tree(to_world)
    flipped = to_world.copy()
    flipped[:3, 3] += to_world[:3, axis] * (SHAPE[axis] - 1)
    flipped[:3, axis] *= -1
    one, other = find_tree(mask, to_world), find_tree(np.flip(mask, axis), flipped)
    for a, b in zip(one.branches, other.branches, strict=True):
        a, b = (
            min(tree.branches, key=lambda c: np.linalg.norm(c.points_mm[-1] - a.points_mm[-1])) for tree in (one, other)
        )
        assert a.length_mm == pytest.approx(b.length_mm, abs=1.5)
        assert a.mean_diameter_mm == pytest.approx(b.mean_diameter_mm, abs=0.3)


def test_a_gap_is_bridged_and_told():
    to_world = np.diag([-1.0, 1.0, 1.0, 1.0])
    mask, labels = y_tree(to_world, gap=(14.0, 19.0))
    tree = find_tree(mask, to_world)
    assert len({branch.piece for branch in tree.branches}) == 2
    joined, joins = join_pieces(tree, labels, to_world)
    assert len(joins) == 1
    assert len({branch.piece for branch in joined.branches}) == 1
    assert [branch.parent for branch in joined.branches] == [-1, 0, 0]
    gaps = [branch.joined_gap_mm for branch in joined.branches if branch.joined_gap_mm]
    assert gaps == pytest.approx([5.0], abs=2.5)


def test_what_is_far_stays_apart():
    to_world = np.eye(4)
    mask, labels = y_tree(to_world)
    mask[2:5, 2:5, 2:16] = True
    tree = find_tree(mask, to_world)
    joined, joins = join_pieces(tree, labels, to_world)
    assert joins == ()
    assert len({branch.piece for branch in joined.branches}) == 2


def test_an_empty_mask_has_no_branch():
    assert find_tree(np.zeros((5, 5, 5), np.uint8), np.eye(4)).branches == ()

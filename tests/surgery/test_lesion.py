"""Distances against analytic ones, on oblique, flipped and anisotropic grids."""

import numpy as np
import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.surgery.case_trees import borders_of
from impulse_nnunet.surgery.faces import wall_of
from impulse_nnunet.surgery.lesion import (
    between_mm,
    distance_mm,
    largest_diameter_mm,
    measure_lesion,
    plane_distances_mm,
    pleura_mm,
    volumes_ml,
)
from tests.surgery.solids import ball, diagonal_mm, positions, random_grid, rod, unit

SHAPE = (44, 46, 48)


@pytest.mark.parametrize("block", range(10))
def test_a_ball_in_an_organ_of_two_segments_with_a_bronchus(block):
    # an organ that is a ball, cut by a plane into segments 3 and 1; a lesion that is a ball in 3; a bronchus, a rod
    for placement in range(10):
        rng = np.random.default_rng(100 * block + placement)
        to_world = random_grid(rng)
        at = positions(SHAPE, to_world)
        middle = at.reshape(-1, 3).mean(0)
        reach = 0.5 * min(np.linalg.norm(to_world[:3, :3], axis=0) * SHAPE)
        organ_radius = 0.94 * reach
        normal, radius = unit(rng), rng.uniform(0.16, 0.26) * reach
        centre = middle + normal * rng.uniform(0.35, 0.5) * reach + 0.15 * reach * unit(rng)
        offset = rng.uniform(-0.2, 0.0) * reach
        height = (at - middle) @ normal
        labels = np.where(height > offset, 3, 1).astype(np.uint8) * ball(at, middle, organ_radius)
        lesion = ball(at, centre, radius)
        start, end = middle - 0.6 * reach * normal, middle - 0.5 * reach * normal + 0.5 * reach * unit(rng)
        bronchus = rod(at, start, end, 0.08 * reach)
        error = diagonal_mm(to_world)

        found = measure_lesion(lesion, labels, to_world, "lesion")
        assert abs(found.largest_diameter_mm - 2 * radius) <= error
        assert found.share_by_label == {3: 1.0}
        planes = plane_distances_mm(found, lesion, labels, borders_of(labels, to_world))
        assert abs(planes[1, 3] - ((centre - middle) @ normal - offset - radius)) <= error
        pleura = between_mm(found.wall_mm, pleura_mm(labels, [bronchus], to_world))
        assert abs(pleura - (organ_radius - np.linalg.norm(centre - middle) - radius)) <= error
        way = end - start
        along = np.clip((centre - start) @ way / (way @ way), 0, 1)
        gap = max(0.0, np.linalg.norm(centre - start - along * way) - radius - 0.08 * reach)
        assert abs(distance_mm(found.wall_mm, bronchus, lesion, to_world) - gap) <= error


@pytest.mark.parametrize("seed", range(5))
def test_volumes_of_balls_are_within_one_per_cent(seed):
    rng = np.random.default_rng(seed)
    to_world = random_grid(rng, (0.6, 0.9))
    at = positions((48, 48, 48), to_world)
    labels = ball(at, at.reshape(-1, 3).mean(0) + rng.uniform(-1, 1, 3), 12.0).astype(np.uint8) * 7
    # 4/3 pi 12^3 = 7238.2 mm^3
    assert volumes_ml(labels, to_world)[7] == pytest.approx(7.2382, rel=0.01)


def test_a_lesion_on_both_sides_of_a_border_has_distance_zero_there():
    labels = np.ones((10, 10, 20), np.uint8)
    labels[..., 10:] = 2
    lesion = np.zeros(labels.shape, np.uint8)
    lesion[4:6, 4:6, 8:12] = 1
    found = measure_lesion(lesion, labels, np.eye(4), "lesion")
    assert found.share_by_label == {1: 0.5, 2: 0.5}
    assert plane_distances_mm(found, lesion, labels, borders_of(labels, np.eye(4))) == {(1, 2): 0.0}


def test_hollows_and_trees_are_no_pleura():
    organ = np.zeros((20, 20, 20), np.uint8)
    organ[2:18, 2:18, 2:18] = 1
    tree = np.zeros(organ.shape, np.uint8)
    tree[8:10, 8:10, :10] = 1  # a bronchus that is left out of the segments and comes in from outside
    organ[tree > 0] = 0
    organ[12, 12, 12] = 0
    lesion = np.zeros(organ.shape, np.uint8)
    lesion[8:10, 8:10, 12:14] = 1
    wall = wall_of(lesion, np.eye(4))
    # from the lesion's face at 13.5 to the organ's at 17.5
    assert between_mm(wall, pleura_mm(organ, [tree], np.eye(4))) == 4.0


def test_diameters_of_a_voxel_and_of_a_bar():
    # face centres of one voxel lie half an edge from its centre
    assert largest_diameter_mm(wall_of(np.ones((1, 1, 1)), np.diag([2.0, 2.0, 2.0, 1.0]))) == 2.0
    assert largest_diameter_mm(wall_of(np.ones((1, 1, 9)), np.eye(4))) == 9.0


def test_a_lesion_outside_is_refused():
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[:3] = 1
    lesion = np.zeros_like(labels)
    with pytest.raises(InputError, match=r"nodule\.nii: found no lesion \(all voxels are 0\)"):
        measure_lesion(lesion, labels, np.eye(4), "nodule.nii")
    lesion[5, 5, 5] = 1
    with pytest.raises(
        InputError, match=r"found a lesion outside all segments \(0.00 ml at \(5.0, 5.0, 5.0\) mm LPS\)"
    ):
        measure_lesion(lesion, labels, np.eye(4), "nodule.nii")

import itertools

import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree

from impulse_nnunet.errors import InputError
from impulse_nnunet.outputs.surfaces import label_surfaces
from tests.outputs.shapes import DIRECTIONS, FLIPPED, OBLIQUE, ball, grid_of, two_boxes


def as_trimesh(surface):
    return trimesh.Trimesh(surface.points, surface.triangles, process=False)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_box_keeps_its_corners_volume_and_outside(direction):
    labels = two_boxes()
    grid = grid_of(labels.shape, (0.7, 0.8, 2.5), direction, (-20, 30, 400))
    found = label_surfaces(labels, grid)
    assert list(found) == [1, 4]
    mesh = as_trimesh(found[4])
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    # 3 x 5 x 5 voxels of 0.7 x 0.8 x 2.5 mm
    assert mesh.volume == pytest.approx(3 * 5 * 5 * 0.7 * 0.8 * 2.5, rel=1e-6)
    assert found[4].volume_mm3 == pytest.approx(mesh.volume, rel=1e-9)
    # sides: twice 3.5 x 4, 3.5 x 7.5 and 4 x 7.5 mm
    assert found[4].area_mm2 == pytest.approx(2 * (3.5 * 4 + 3.5 * 7.5 + 4 * 7.5), rel=1e-6)
    # voxels 1 to 5 along x: faces at 0.5 and 5.5 times 0.7 mm; so for y and z
    sides = [(0.5 * 0.7, 5.5 * 0.7), (1.5 * 0.8, 6.5 * 0.8), (2.5 * 2.5, 5.5 * 2.5)]
    corners = np.array(list(itertools.product(*sides))) @ np.asarray(direction).T + (-20, 30, 400)
    distance = np.linalg.norm(corners[:, None] - found[4].points[None], axis=2).min(axis=1)
    assert distance.max() < 1e-4


def test_neighbours_share_points_and_triangles():
    found = label_surfaces(two_boxes(), grid_of((7, 9, 8), (0.7, 0.8, 2.5), OBLIQUE), smooth_mm=0.5)
    one, other = ({frozenset(map(tuple, s.points[t])) for t in s.triangles} for s in found.values())
    assert len(one & other) == 2 * 5 * 5  # two triangles for each shared side of a voxel


def test_any_voxels_make_closed_surfaces():
    labels = np.random.default_rng(0).integers(0, 4, (9, 8, 10)).astype(np.uint16) * 300  # touch at edges and corners
    grid = grid_of(labels.shape, (0.7, 0.8, 2.5), OBLIQUE @ FLIPPED)
    for smooth_mm in (0.0, 0.4):
        for label, surface in label_surfaces(labels, grid, smooth_mm=smooth_mm).items():
            mesh = as_trimesh(surface)
            assert mesh.is_watertight
            assert mesh.is_winding_consistent
            if not smooth_mm:
                assert mesh.volume == pytest.approx((labels == label).sum() * 0.7 * 0.8 * 2.5, rel=1e-6)


def test_voxels_that_touch_at_an_edge_or_a_corner_are_two_bodies():
    for second in ((1, 2, 2), (2, 2, 2)):
        labels = np.zeros((4, 4, 4), np.uint8)
        labels[1, 1, 1] = labels[second] = 1
        surface = label_surfaces(labels, grid_of(labels.shape))[1]
        assert len(surface.points) == 16
        assert as_trimesh(surface).body_count == 2


def test_labels_at_the_border_of_the_image_are_closed():
    surface = label_surfaces(np.ones((2, 3, 4), np.uint8), grid_of((2, 3, 4)))[1]
    assert as_trimesh(surface).is_watertight
    assert surface.points.min(axis=0) == pytest.approx([-0.5, -0.5, -0.5])
    assert surface.points.max(axis=0) == pytest.approx([3.5, 2.5, 1.5])


@pytest.mark.parametrize(("spacing_mm", "too_large"), [((1, 1, 1), 0.05), ((0.7, 0.7, 2.5), 0.12)])
@pytest.mark.parametrize("radius_mm", [10, 20])
def test_smoothing_keeps_a_ball_and_makes_it_round(radius_mm, spacing_mm, too_large):
    labels = ball(radius_mm, spacing_mm)
    grid = grid_of(labels.shape, spacing_mm)
    limit = max(spacing_mm) / 2
    rough, smooth = (label_surfaces(labels, grid, smooth_mm=mm)[1] for mm in (0, limit))
    assert KDTree(rough.points).query(smooth.points)[0].max() <= limit + 1e-9
    assert smooth.volume_mm3 == pytest.approx(labels.sum() * np.prod(spacing_mm), rel=0.01)
    # the voxels' border of a ball has 1.5 times its area
    assert rough.area_mm2 / (4 * np.pi * radius_mm**2) == pytest.approx(1.5, rel=0.03)
    assert smooth.area_mm2 == pytest.approx(4 * np.pi * radius_mm**2, rel=too_large)


def test_a_choice_does_not_change_a_surface():
    labels = two_boxes()
    for smooth_mm in (0, 0.5):
        every = label_surfaces(labels, grid_of(labels.shape), smooth_mm=smooth_mm)
        one = label_surfaces(labels, grid_of(labels.shape), wanted=[4, 9], smooth_mm=smooth_mm)
        assert list(one) == [4]
        np.testing.assert_array_equal(np.sort(one[4].points, axis=0), np.sort(every[4].points, axis=0))


def test_nothing_to_do():
    assert label_surfaces(np.zeros((3, 3, 3), np.uint8), grid_of((3, 3, 3))) == {}
    assert label_surfaces(two_boxes(), grid_of((7, 9, 8)), wanted=[2]) == {}


def test_bad_smoothing_is_named():
    with pytest.raises(InputError, match="`smooth_mm`: found -1, expected a distance in mm"):
        label_surfaces(two_boxes(), grid_of((7, 9, 8)), smooth_mm=-1)

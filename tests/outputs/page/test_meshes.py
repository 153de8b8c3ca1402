import numpy as np
import pytest

from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.outputs.page.meshes import fewer_triangles, joined_in_cells, mask_mesh, segment_meshes
from impulse_nnunet.outputs.surfaces import label_surfaces

trimesh = pytest.importorskip("trimesh")


def ball(shape=(44, 44, 44), radius=18.0):
    """Two halves of a ball with the labels 1 and 2."""
    z, y, x = np.indices(shape) - (np.array(shape).reshape(3, 1, 1, 1) - 1) / 2
    inside = z**2 + y**2 + x**2 < radius**2
    return np.where(inside, np.where(x < 0, 1, 2), 0).astype(np.uint8), FileGrid.at_world_origin(shape, (1, 1, 1))


def as_trimesh(surface):
    return trimesh.Trimesh(surface.points, surface.triangles, process=False)


def test_segments_lose_triangles_and_go_on_touching():
    labels, grid = ball()
    found = segment_meshes(labels, grid, (1, 2), budget=4000)
    assert sum(len(surface.triangles) for surface in found.values()) <= 4000
    for surface in found.values():
        assert as_trimesh(surface).is_watertight
        assert as_trimesh(surface).volume == pytest.approx((labels == 1).sum(), rel=0.02)
    # the border is a disc of radius 18: both have its points and triangles, the one turned round
    shared = [
        {frozenset(map(tuple, surface.points[triangle].round(6))) for triangle in surface.triangles}
        for surface in found.values()
    ]
    border = shared[0] & shared[1]
    area = sum(
        trimesh.triangles.area(np.array([list(map(list, triangle))]))[0] for triangle in border if len(triangle) == 3
    )
    assert area == pytest.approx(np.pi * 18**2, rel=0.05)


def test_few_triangles_are_left_alone():
    labels, grid = ball()
    surfaces = label_surfaces(labels, grid)
    assert joined_in_cells(surfaces, 1.0, 10**6) == surfaces
    assert fewer_triangles(surfaces[1], 10**6) is surfaces[1]


def test_a_thin_branch_stays_whole():
    mask = np.zeros((40, 40, 120), bool)
    mask[10:30, 10:30, 5:20] = True
    mask[20, 20, 20:110] = True  # one voxel wide
    grid = FileGrid.at_world_origin(mask.shape, (1, 1, 1))
    found = mask_mesh(mask, grid, budget=800)
    assert len(found.triangles) <= 810
    assert found.points[:, 0].max() == pytest.approx(109.5, abs=0.8)
    assert len(as_trimesh(found).split(only_watertight=False)) == 1


def test_an_empty_mask_has_no_mesh():
    grid = FileGrid.at_world_origin((4, 4, 4), (1, 1, 1))
    assert mask_mesh(np.zeros((4, 4, 4), bool), grid) is None


def test_a_tree_of_many_triangles():
    labels, grid = ball()
    found = mask_mesh(labels > 0, grid, budget=400)
    assert len(found.triangles) <= 400
    assert as_trimesh(found).volume == pytest.approx((labels > 0).sum(), rel=0.05)

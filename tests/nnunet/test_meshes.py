"""Surfaces of a field that is known: the label is where the field says, on grids of any spacing."""

from types import SimpleNamespace

import numpy as np
import pytest
import trimesh

from impulse_nnunet.decoding.grids import OutputGrid
from impulse_nnunet.errors import InputError
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.io.label_maps import LabelMap
from impulse_nnunet.nnunet import meshes
from tests.outputs.shapes import OBLIQUE, grid_of

RADIUS_MM = 12.0
DATASET = {"labels": {"background": 0, "right S1": 1, "left S1+2": 2}}


@pytest.fixture
def field(monkeypatch):
    """A ball of 12 mm about (0, 0, 0), halves by x, in an image of 48 mm."""

    def decode(encoded, grid, block_points):
        indices = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).reshape(-1, 3)
        places = grid.positions(indices) * 24  # mm, (z, y, x)
        inside = np.linalg.norm(places, axis=1) < RADIUS_MM
        return (inside * np.where(places[:, 2] < 0, 1, 2)).reshape(grid.shape).astype(np.uint8)

    monkeypatch.setattr(meshes, "decode_labels", decode)
    return SimpleNamespace(box=Box.from_faces([-0.6] * 3, [0.6] * 3))


def placed(direction):
    """Grid of 4 mm voxels with the image's centre at 0, and the world position of image positions."""
    image = grid_of((12, 12, 12), (4, 4, 4), direction, -np.asarray(direction) @ np.full(3, 22.0))
    return image, image.to_world @ np.linalg.inv(np.vstack([OutputGrid.native(image.shape).to_image, [0, 0, 0, 1]]))


def test_the_grid_is_in_the_world_where_the_image_is(field):
    image, to_world = placed(OBLIQUE)
    fine = meshes.decode_fine(field, image, to_world, 0.5, 1000, "a")
    assert max(fine.labels.shape) <= 60  # of the box, 0.6 of 96 voxels
    places = np.argwhere(fine.labels > 0) @ fine.grid.to_world[:3, :3].T + fine.grid.to_world[:3, 3]
    assert np.linalg.norm(places, axis=1).max() < RADIUS_MM
    np.testing.assert_allclose(places.mean(axis=0), 0, atol=1e-6)
    # right and left by the image's first axis
    first = np.argwhere(fine.labels == 1) @ fine.grid.to_world[:3, :3].T + fine.grid.to_world[:3, 3]
    assert (first @ OBLIQUE[:, 0]).max() < 0


def test_a_finer_grid_is_closer_to_the_field(field, tmp_path):
    image, to_world = placed(OBLIQUE)
    errors = []
    for spacing_mm in (4.0, 1.0, 0.5):
        fine = meshes.decode_fine(field, image, to_world, spacing_mm, 1000, "a")
        meshes.write_meshes(fine, DATASET, "a", ("glb", "obj"), tmp_path)
        loaded = trimesh.load_scene(tmp_path / "meshes" / "a.glb")
        assert set(loaded.geometry) == {"right S1", "left S1+2"}
        assert all(mesh.is_watertight for mesh in loaded.geometry.values())
        points = np.concatenate([mesh.vertices for mesh in loaded.geometry.values()])
        outer = points[np.abs(points @ OBLIQUE[:, 0]) > 4]  # not the border between the halves
        errors.append(float(np.sqrt(np.mean((np.linalg.norm(outer, axis=1) - RADIUS_MM) ** 2))))
    assert errors[0] > 2 * errors[1] > 2 * errors[2]
    assert errors[2] < 0.15
    assert (tmp_path / "meshes" / "a.mtl").is_file()


def test_too_fine_a_grid_is_refused(field):
    image, to_world = placed(np.eye(3))
    with pytest.raises(InputError, match=r"`mesh_spacing_mm`: found 0.01 mm, .* expected at most 2.1"):
        meshes.decode_fine(field, image, to_world, 0.01, 1000, "a")


def test_no_foreground_is_named(tmp_path):
    empty = LabelMap(np.zeros((3, 3, 3), np.uint8), grid_of((3, 3, 3)), tmp_path / "a")
    with pytest.raises(InputError, match="found no labelled voxel"):
        meshes.write_meshes(empty, DATASET, "a", ("glb",), tmp_path)

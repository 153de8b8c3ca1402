import itertools

import numpy as np
import pytest

from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.outputs.page.frame import PageFrame

TURNS = [
    np.eye(3)[list(order)] * signs
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


@pytest.mark.parametrize("direction", TURNS, ids=range(len(TURNS)))
def test_all_48_orientations_turn_to_left_back_and_head(direction):
    rng = np.random.default_rng(0)
    labels = np.zeros((7, 8, 9), np.uint8)
    labels[2:5, 3:7, 2:8] = rng.integers(0, 4, (3, 4, 6))
    labels[2, 3, 2] = labels[4, 6, 7] = 3
    grid = FileGrid(
        size=(9, 8, 7), spacing_mm=np.array([1.0, 2.0, 3.0]), origin=np.array([5.0, -6, 7]), direction=direction
    )
    frame = PageFrame.around([labels], grid, 0)
    assert frame.grid.orientation == "LPS"
    turned = frame.turned(labels)
    assert turned.shape == frame.grid.shape
    # every labelled voxel lies at the same place of the world as before
    for place in np.argwhere(labels):
        world = grid.to_world @ [*place, 1]
        index = np.linalg.inv(frame.grid.to_world) @ world
        assert np.abs(index - np.rint(index)).max() < 1e-9
        assert turned[tuple(np.rint(index[:3]).astype(int))] == labels[tuple(place)]
    assert np.count_nonzero(turned) == np.count_nonzero(labels)


def test_the_margin_ends_where_the_image_does():
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[1, 5, 5] = 1
    grid = FileGrid(size=(10, 10, 10), spacing_mm=np.array([1.0, 2.0, 2.0]), origin=np.zeros(3), direction=np.eye(3))
    # 6 mm are 3 voxels along z and y, 6 along x
    assert PageFrame.around([labels], grid, 6).box == (slice(0, 5), slice(2, 9), slice(0, 10))
    assert PageFrame.around([labels * 0], grid, 6).box == (slice(0, 10),) * 3


def test_frame_coordinates_are_mm_from_the_first_voxel():
    angle = np.radians(30)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    grid = FileGrid(size=(4, 5, 6), spacing_mm=np.array([1.0, 2, 3]), origin=np.array([1.0, 2, 3]), direction=turn)
    frame = PageFrame.around([np.ones((6, 5, 4), np.uint8)], grid, 0)
    about = frame.content()
    # 2 mm along the second axis from the first voxel: 2 * (-sin 30, cos 30, 0)
    world = np.array(about["origin"]) + 2 * np.array(about["axes"][1])
    assert world == pytest.approx([1 - 1, 2 + 2 * np.cos(angle), 3])
    assert about["lower"] == [-0.5, -1, -1.5]
    assert about["upper"] == [3.5, 9, 16.5]
    assert frame.oblique_degrees == pytest.approx(30)

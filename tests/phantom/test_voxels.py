import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from impulse_nnunet.phantom.voxels import join_pieces, neighbours_of, stray_places


@given(st.integers(0, 10**6), st.floats(0.1, 0.6))
def test_stray_voxels_are_those_outside_the_largest_piece(seed, share):
    rng = np.random.default_rng(seed)
    labels = ((rng.random((7, 8, 9)) < share) * rng.integers(1, 4, (7, 8, 9))).astype(np.uint8)
    stray = np.zeros(labels.size, bool)
    stray[stray_places(labels)] = True
    for label in range(1, 4):
        pieces, number = ndimage.label(labels == label, np.ones((3, 3, 3)))
        sizes = np.bincount(pieces.reshape(-1), minlength=number + 1)[1:]
        kept = (labels == label) & ~stray.reshape(labels.shape)
        assert kept.sum() == (sizes.max() if number else 0)
        assert ndimage.label(kept, np.ones((3, 3, 3)))[1] == min(1, number)


def test_an_island_goes_to_its_neighbour():
    labels = np.zeros((1, 5, 9), np.uint8)
    labels[0, :, :5], labels[0, :, 5:] = 1, 2
    labels[0, 2, 7] = 1
    assert join_pieces(labels) == 1
    assert np.all(labels[0, :, 5:] == 2)


def test_an_island_without_neighbours_becomes_background():
    labels = np.zeros((1, 3, 9), np.uint8)
    labels[0, :, :4], labels[0, 1, 7] = 1, 1
    assert join_pieces(labels) == 1
    assert labels[0, 1, 7] == 0


def test_neighbours_are_the_27_voxels_around():
    found = np.stack(np.unravel_index(neighbours_of(np.array([2 * 35 + 3 * 7 + 4]), (5, 5, 7)), (5, 5, 7)), 1)
    assert len(found) == 27
    assert np.abs(found - [2, 3, 4]).max() == 1

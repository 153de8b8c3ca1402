import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from impulse_nnunet.decoding import (
    EncodedBox,
    OutputGrid,
    decode_displacement,
    decode_labels,
    decode_logits,
)
from impulse_nnunet.decoding.kernels import corners
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.geometry.coordinates import inside
from tests.support import perturb_heads, small_network

HALF = Box.from_faces([0, -1, -0.5], [1, 0.2, 1])
shapes = st.tuples(*[st.integers(1, 9)] * 3)


def encoded_members(folds=1, classes=3):
    members = []
    for _ in range(folds):
        network = perturb_heads(small_network(classes)).eval()
        network.decoder.template.set_logits(torch.randn(classes, 4, 6, 8))
        with torch.no_grad():
            members.append((network.decoder, [level.float() for level in network.encode(torch.randn(1, 2, 4, 6, 8))]))
    return members


def encoded_box(box=HALF, folds=1, classes=3):
    return EncodedBox(encoded_members(folds, classes), box)


def all_indices(shape):
    return np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), -1)


@given(shapes)
def test_native_positions_are_voxel_centres(shape):
    index = all_indices(shape)
    np.testing.assert_allclose(
        OutputGrid.native(shape).positions(index), (2 * index + 1) / np.array(shape) - 1, atol=1e-12
    )


@given(
    shapes,
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.tuples(*[st.floats(0.1, 1.5)] * 3),
    st.tuples(*[st.floats(-1, 1)] * 3),
)
def test_the_index_range_covers_all_voxels_of_the_box(shape, turn, half, centre):
    box = Box(Rotation.from_euler("xyz", turn).as_matrix() @ np.diag(half), np.array(centre))
    grid = OutputGrid.native(shape)
    lower, upper = grid.index_range(box)
    index = all_indices(shape)
    within = index[inside(box.from_image(grid.positions(index)))]
    assert np.all(within >= lower)
    assert np.all(within < upper)
    assert np.all(lower >= 0)
    assert np.all(upper <= shape)


def test_the_index_range_is_tight_for_an_upright_box():
    # ten voxels of 0.2 along h: 0.2 to 0.6 holds voxels 6 and 7, centres 0.3 and 0.5; one to spare on each side
    lower, upper = OutputGrid.native((4, 10, 4)).index_range(Box.from_faces([-1, 0.2, -1], [1, 0.6, 1]))
    assert 5 <= lower[1] <= 6
    assert 8 <= upper[1] <= 9


@pytest.mark.parametrize("block", [1, 7, 100])
def test_blocks_do_not_change_labels_or_logits(block):
    encoded, grid = encoded_box(), OutputGrid.native((6, 7, 8))
    np.testing.assert_array_equal(decode_labels(encoded, grid, block), decode_labels(encoded, grid, 10**6))
    np.testing.assert_allclose(decode_logits(encoded, grid, block), decode_logits(encoded, grid, 10**6), atol=1e-5)


def test_labels_are_the_largest_logits():
    encoded, grid = encoded_box(classes=4), OutputGrid.native((6, 7, 8))
    labels = decode_labels(encoded, grid, 50)
    assert labels.dtype == np.uint8
    assert len(np.unique(labels)) > 1
    np.testing.assert_array_equal(labels, decode_logits(encoded, grid, 50).argmax(0))


def test_outside_the_box_is_background():
    encoded, grid = encoded_box(), OutputGrid.native((6, 7, 8))
    outside = ~inside(HALF.from_image(grid.positions(all_indices(grid.shape)))).reshape(grid.shape)
    assert 0 < outside.sum() < outside.size
    assert np.all(decode_labels(encoded, grid, 50)[outside] == 0)
    np.testing.assert_array_equal(np.unique(decode_logits(encoded, grid, 50)[:, outside], axis=1), [[0], [-30], [-30]])
    assert np.all(decode_displacement(encoded, grid, 50)[outside] == 0)


def test_each_voxel_gets_the_decoders_word_on_its_centre():
    ((decoder, pyramid),) = encoded_members()
    encoded, grid = EncodedBox([(decoder, pyramid)], Box.whole()), OutputGrid.native((2, 3, 4))
    # voxel (1, 0, 2): 3/2 - 1, 1/3 - 1, 5/4 - 1
    with torch.no_grad():
        prediction = decoder(pyramid, torch.tensor([[[0.5, -2 / 3, 0.25]]]))
    np.testing.assert_allclose(decode_logits(encoded, grid, 100)[:, 1, 0, 2], prediction.logits[0, 0], atol=1e-5)


def test_displacement_is_scaled_from_the_box_to_the_image():
    encoded, grid = encoded_box(), OutputGrid.native((6, 7, 8))
    field = decode_displacement(encoded, grid, 100)
    index = np.array([[4, 2, 5]])
    own = encoded.evaluate(HALF.from_image(grid.positions(index)).astype(np.float32))[1][0]
    # the box's edges are 1, 1.2 and 1.5 of the image's 2
    np.testing.assert_allclose(field[4, 2, 5], own * [0.5, 0.6, 0.75], rtol=1e-4)


def test_folds_are_averaged():
    members = encoded_members(folds=2)
    points = np.random.default_rng(0).uniform(-1, 1, (20, 3)).astype(np.float32)
    both, first, second = (EncodedBox(m, HALF).evaluate(points) for m in (members, members[:1], members[1:]))
    for mean, one, other in zip(both, first, second, strict=True):
        np.testing.assert_allclose(mean, (one + other) / 2, rtol=1e-5, atol=1e-6)


def test_many_labels_need_sixteen_bits():
    assert decode_labels(encoded_box(classes=300), OutputGrid.native((2, 2, 2)), 8).dtype == np.uint16


def test_a_box_beside_the_grid_gives_background():
    encoded = encoded_box(Box.from_faces([1.5, 1.5, 1.5], [2, 2, 2]))
    assert not decode_labels(encoded, OutputGrid.native((3, 3, 3)), 8).any()


def test_points_that_are_no_numbers_do_not_reach_outside_a_volume():
    places, weights = np.full(8, -1, np.int64), np.zeros(8, np.float32)
    corners(np.nan, 0.0, np.nan, 4, 6, 8, places, weights)
    assert np.all((places >= 0) & (places < 4 * 6 * 8))
    assert np.isnan(weights).all()

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from impulse_nnunet.geometry.boxes import Box, bounding_box, faces_from_indices, region_box

FOREGROUND = np.array([[-0.5, -0.2, 0.0], [0.5, 0.2, 1.0]])
positions = arrays(np.float64, (7, 3), elements=st.floats(-1, 1))
angles = st.tuples(*[st.floats(-3, 3)] * 3)
lengths = st.tuples(*[st.floats(0.1, 2)] * 3)
centres = st.tuples(*[st.floats(-1, 1)] * 3)


@given(angles, lengths, centres, positions)
def test_box_and_image_positions_are_inverse(turn, half, centre, points):
    box = Box(Rotation.from_euler("xyz", turn).as_matrix() @ np.diag(half), np.asarray(centre))
    np.testing.assert_allclose(box.from_image(box.to_image(points)), points, atol=1e-9)
    np.testing.assert_allclose(box.to_image(box.from_image(points)), points, atol=1e-9)


@given(centres, lengths)
def test_faces_of_an_upright_box_come_back(lower, edges):
    upper = np.add(lower, edges)
    box = Box.from_faces(lower, upper)
    np.testing.assert_allclose(box.faces, [lower, upper], atol=1e-12)
    np.testing.assert_allclose(box.to_image(np.array([[-1.0] * 3, [1.0] * 3])), [lower, upper], atol=1e-12)


@given(positions)
def test_the_whole_box_is_the_image(points):
    np.testing.assert_array_equal(Box.whole().to_image(points), points)


def test_points_turn_with_a_quarter_turn():
    # the box's d axis runs along the image's h axis, its h axis against d; centre moved by 0.5 along w
    box = Box(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.array([0, 0, 0.5]))
    np.testing.assert_allclose(box.to_image(np.array([[0.2, 0.3, 0.1]])), [[-0.3, 0.2, 0.6]])


def test_faces_of_a_range_of_voxels():
    lower, upper = faces_from_indices(np.array([1, 0, 2]), np.array([3, 4, 4]), (4, 4, 8))
    # 2 * 1/4 - 1, 2 * 0/4 - 1, 2 * 2/8 - 1 and 2 * 3/4 - 1, 2 * 4/4 - 1, 2 * 4/8 - 1
    assert lower.tolist() == [-0.5, -1, -0.5]
    assert upper.tolist() == [0.5, 1, 0]


def test_margins_are_added_and_clipped():
    lower, upper = region_box(FOREGROUND, 0.1).faces
    # edges 1, 0.4, 1: margins 0.1, 0.04, 0.1; the last upper face 1.1 is clipped
    np.testing.assert_allclose(lower, [-0.6, -0.24, -0.1])
    np.testing.assert_allclose(upper, [0.6, 0.24, 1.0])


def test_a_bounding_box_holds_all_that_is_not_zero():
    mask = np.zeros((4, 5, 6), np.uint8)
    assert bounding_box(mask) is None
    mask[1, 4, 2] = mask[2, 0, 5] = 7
    lower, upper = bounding_box(mask)
    assert (lower.tolist(), upper.tolist()) == ([1, 0, 2], [3, 5, 6])

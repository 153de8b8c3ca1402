import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.geometry.coordinates import inside
from impulse_nnunet.training.points import IGNORED, draw_points, labels_at

SHAPE = (20, 24, 28)


def voxels_of(box, points, shape=SHAPE):
    """Indices of the voxels that hold box positions, from the convention's own formula."""
    return np.floor((box.to_image(points.astype(np.float64)) + 1) / 2 * np.array(shape)).astype(int)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_a_share_falls_inside_the_masks_and_the_rest_is_uniform():
    mask = np.zeros(SHAPE, bool)
    mask[2:5, 3:6, 20:25] = True  # 45 of 13 440 voxels
    points = draw_points(rng(), Box.whole(), SHAPE, 1000, 0.3, np.argwhere(mask))
    within = mask[tuple(voxels_of(Box.whole(), points).T)]
    # 300 by the share, and of 700 uniform ones 700 * 45 / 13440 = 2.3 by chance
    assert 300 <= within.sum() <= 312
    octants = np.bincount((points[~within] > 0) @ [4, 2, 1], minlength=8)
    # 87.5 expected in each of 8, standard deviation sqrt(700 * 1/8 * 7/8) = 8.75; 4.5 of them
    assert np.all(np.abs(octants - 87.5) < 40)


def test_a_share_falls_inside_the_region():
    region = Box.from_faces([-1, -0.5, 0.5], [-0.5, 0, 1])  # 1/64 of the image
    points = draw_points(rng(), Box.whole(), SHAPE, 1000, region_share=0.4, region=region)
    within = inside(region.from_image(points.astype(np.float64)))
    # 400 by the share and 600 / 64 = 9.4 by chance, standard deviation 3
    assert 400 <= within.sum() <= 425


def test_masks_of_an_upright_box_are_hit_in_its_own_coordinates():
    mask = np.zeros(SHAPE, bool)
    mask[12, 13, 7] = True
    box = Box.from_faces([0, 0, -0.8], [0.6, 0.4, 0])
    points = draw_points(rng(), box, SHAPE, 50, 1.0, np.argwhere(mask))
    assert np.unique(voxels_of(box, points), axis=0).tolist() == [[12, 13, 7]]


def test_points_are_float32_positions_in_the_box():
    points = draw_points(rng(), Box.whole(), SHAPE, 77)
    assert points.shape == (77, 3)
    assert points.dtype == np.float32
    assert inside(points).all()


def test_unlabelled_voxels_are_never_drawn():
    segmentation = np.full(SHAPE, 9)
    segmentation[::3] = 1  # every third slice is annotated
    segmentation[3, 4, 5] = 2
    box = Box(0.7 * Rotation.from_euler("x", 0.2).as_matrix(), np.array([0.1, 0, -0.2]))
    annotated = np.argwhere(segmentation != 9)
    points = draw_points(rng(), box, SHAPE, 2000, annotated_voxels=annotated)
    labels = labels_at(segmentation, box, points, ignore_label=9)
    assert IGNORED not in labels


def test_points_of_a_turned_box_that_leaves_the_image_stay_in_the_image():
    turn = Rotation.from_euler("xyz", [0.4, -0.3, 0.8]).as_matrix()
    box = Box(1.1 * turn, np.array([0.5, -0.4, 0.6]))
    points = draw_points(rng(), box, SHAPE, 1000)
    assert not inside(box.to_image(np.random.default_rng(1).uniform(-1, 1, (1000, 3)))).all()  # it does leave it
    assert len(points) == 1000
    assert np.abs(box.to_image(points.astype(np.float64))).max() <= 1 + 1e-6
    assert inside(points).all()


def test_masks_outside_the_box_leave_uniform_points():
    mask_voxels = np.array([[0, 0, 0]])
    box = Box.from_faces([0, 0, 0], [1, 1, 1])
    points = draw_points(rng(), box, SHAPE, 100, 0.5, mask_voxels)
    assert points.shape == (100, 3)
    assert len(np.unique(points, axis=0)) == 100


def test_a_box_that_sparse_annotation_misses_gives_points_without_label():
    box = Box.from_faces([0, 0, 0], [1, 1, 1])
    segmentation = np.full(SHAPE, 9)
    segmentation[0, 0, 0] = 1
    points = draw_points(rng(), box, SHAPE, 10, annotated_voxels=np.array([[0, 0, 0]]))
    assert points.shape == (10, 3)
    assert set(labels_at(segmentation, box, points, 9)) == {IGNORED}


@given(st.integers(1, 300), st.floats(0, 1), st.integers(0, 5))
def test_the_number_of_points_is_kept(number, share, masks):
    mask_voxels = np.argwhere(np.ones((masks, 2, 3), bool)) if masks else None
    box = Box.from_faces([-1, -1, -1], [0, 1, 1])
    assert draw_points(rng(), box, SHAPE, number, share, mask_voxels).shape == (number, 3)


def labelled():
    """Labels 0 to 23 on an unequal grid, one voxel outside nnU-Net's nonzero region."""
    segmentation = np.arange(24).reshape(2, 3, 4)
    segmentation[0, 0, 0] = -1
    return segmentation


def test_labels_by_hand():
    points = np.array([[-0.9, -0.9, -0.9], [0.9, 0.9, 0.9], [-0.1, 0.1, 0.2], [0.1, -0.5, -0.3]])
    # voxels (0, 0, 0): -1 becomes 0; (1, 2, 3) = 23; (0, 1, 2) = 4 + 2 = 6; (1, 0, 1) = 12 + 1 = 13
    assert labels_at(labelled(), Box.whole(), points, None).tolist() == [0, 23, 6, 13]
    assert labels_at(labelled(), Box.whole(), points, 23).tolist() == [0, IGNORED, 6, 13]


def test_labels_follow_the_box():
    # the box covers the second half of d and the first half of w: its centre is at (0.5, 0, -0.5) of the image
    box = Box.from_faces([0, -1, -1], [1, 1, 0])
    points = np.array([[-0.9, 0.0, 0.5]])  # image (0.05, 0, -0.25): voxel (1, 1, 1) = 12 + 4 + 1
    assert labels_at(labelled(), box, points, None).tolist() == [17]


def test_positions_outside_the_image_are_ignored():
    box = Box.from_faces([-1, -1, -1], [3, 1, 1])
    points = np.array([[0.5, 0, 0.1], [-0.9, 0, 0.1]])  # image d = 2 and d = -0.8
    assert labels_at(labelled(), box, points, None).tolist() == [IGNORED, 6]

import numpy as np
import torch

from impulse_nnunet.geometry.boxes import Box, faces_from_indices
from impulse_nnunet.geometry.resampling import image_on_box


def volume(shape=(6, 8, 10), channels=2):
    return torch.randn(channels, *shape)


def test_the_whole_box_on_the_same_grid_is_the_volume():
    whole = volume()
    torch.testing.assert_close(image_on_box(whole, Box.whole(), (6, 8, 10)), whole, atol=1e-5, rtol=0)


def test_half_precision_comes_out_as_float32():
    whole = volume().half()
    image = image_on_box(whole, Box.whole(), (6, 8, 10))
    assert image.dtype == torch.float32
    torch.testing.assert_close(image, whole.float(), atol=1e-5, rtol=0)


def test_a_box_of_whole_voxels_is_a_slice():
    whole = volume()
    lower, upper = np.array([1, 2, 4]), np.array([4, 8, 9])
    box = Box.from_faces(*faces_from_indices(lower, upper, (6, 8, 10)))
    torch.testing.assert_close(image_on_box(whole, box, (3, 6, 5)), whole[:, 1:4, 2:8, 4:9], atol=1e-5, rtol=0)


def test_a_quarter_turn_of_a_cube_swaps_axes():
    whole = volume((6, 6, 6))
    # the box's (d, h, w) are the image's (h, -d, w): box voxel (i, j, k) shows image voxel (5 - j, i, k)
    box = Box(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.zeros(3))
    expected = whole.flip(1).transpose(1, 2)
    torch.testing.assert_close(image_on_box(whole, box, (6, 6, 6)), expected, atol=1e-5, rtol=0)

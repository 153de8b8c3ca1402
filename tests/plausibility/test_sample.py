"""Samples of images by position in the world."""

import numpy as np

from impulse_nnunet.plausibility.sample import MOST_VOXELS, ImageSample, covers, step_of, thinned
from tests.plausibility.made_up import Z_Y_X


def test_the_value_nearest_to_a_place():
    image = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    sample = ImageSample(image, Z_Y_X)
    assert sample.at(np.array([[6.2, 3.9, 1.8], [0, 0, 0], [-99, 0, 0]])).tolist() == [23, 0, 0]  # x, y, z in mm


def test_every_second_voxel_lies_twice_as_far_apart():
    image = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    sample = ImageSample(image[::2, ::2, ::2], thinned(Z_Y_X, 2))
    assert sample.at(np.array([[4.0, 4.0, 4.0]])).tolist() == [image[2, 2, 2]]


def test_steps():
    assert step_of((100, 100, 100)) == 1
    step = step_of((512, 512, 300))
    assert np.prod([n / step for n in (512, 512, 300)]) <= MOST_VOXELS


def test_a_grid_that_holds_the_image():
    sample = ImageSample(np.zeros((4, 4, 4), np.float32), Z_Y_X)
    finer = np.diag([0.5, 0.5, 0.5, 1.0])
    assert covers((8, 8, 8), Z_Y_X @ finer, sample)
    assert not covers((8, 8, 4), Z_Y_X @ finer, sample)
    moved = Z_Y_X.copy()
    moved[0, 3] = 20
    assert not covers((4, 4, 4), moved, sample)

import numpy as np

from impulse_nnunet.training import case_facts as module
from impulse_nnunet.training.case_facts import case_facts

SHAPE = (4, 5, 8)


def images(channels=2):
    return np.zeros((channels, *SHAPE), np.float32)


def labels(fill=0):
    return np.full((1, *SHAPE), fill, np.int16)


def test_faces_of_the_foreground():
    segmentation = labels(-1)  # nnU-Net's "outside the nonzero region" is not foreground
    segmentation[0, 1:3, 0:2, 4:8] = 2
    facts = case_facts(images(), segmentation, (), None)
    # 2 * 1/4 - 1, -1, 2 * 4/8 - 1 and 2 * 3/4 - 1, 2 * 2/5 - 1, 1
    np.testing.assert_allclose(facts["foreground_faces"], [[-0.5, -1, 0], [0.5, -0.2, 1]])
    assert facts["mask_voxels"] is None
    assert facts["annotated_voxels"] is None


def test_without_foreground_the_image_is_the_box():
    np.testing.assert_array_equal(case_facts(images(), labels(), (), None)["foreground_faces"], [[-1] * 3, [1] * 3])


def test_the_ignore_label_is_neither_foreground_nor_annotated():
    segmentation = labels(3)
    segmentation[0, 1, 2, 3], segmentation[0, 2, 2, 4] = 1, 0
    facts = case_facts(images(), segmentation, (), 3)
    assert facts["annotated_voxels"].tolist() == [[1, 2, 3], [2, 2, 4]]
    np.testing.assert_allclose(facts["foreground_faces"], [[-0.5, -0.2, -0.25], [0, 0.2, 0]])


def test_voxels_of_any_mask_channel_where_a_label_is_known():
    image, segmentation = images(3), labels()
    image[0] = 1  # no mask
    image[1, 0, 1, 2] = image[2, 3, 4, 7] = image[2, 1, 1, 1] = 1
    segmentation[0, 1, 1, 1] = 3
    facts = case_facts(image, segmentation, (1, 2), 3)
    assert facts["mask_voxels"].tolist() == [[0, 1, 2], [3, 4, 7]]


def test_long_lists_are_thinned_without_repeats(monkeypatch):
    monkeypatch.setattr(module, "LARGEST_VOXEL_LIST", 20)
    image = images(1)
    image[0, :2] = 1
    voxels = case_facts(image, labels(), (0,), None)["mask_voxels"]
    assert voxels.dtype == np.int16
    assert len(np.unique(voxels, axis=0)) == 20
    assert voxels[:, 0].max() <= 1


def test_trees_are_sampled_like_mask_channels():
    images = np.zeros((2, 2, 2, 2), np.float32)
    images[1, 0, 0, 0] = 1
    trees = np.zeros((2, 2, 2), bool)
    trees[1, 1, 0] = trees[0, 1, 1] = True
    segmentation = np.ones((1, 2, 2, 2), np.int8)
    segmentation[0, 0, 1, 1] = 3  # ignored, so not sampled
    both = case_facts(images, segmentation, (1,), 3, trees)["mask_voxels"]
    assert both.tolist() == [[0, 0, 0], [1, 1, 0]]
    alone = case_facts(images, segmentation, (), None, trees)["mask_voxels"]
    assert alone.tolist() == [[0, 1, 1], [1, 1, 0]]

"""Coarse to fine against the evaluation of every voxel, on shapes made on purpose and under random deformation."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from impulse_nnunet.coordinates import Box
from impulse_nnunet.decoding import EncodedBox, OutputGrid, decode_labels
from impulse_nnunet.decoding.coarse_to_fine import decode_coarse_to_fine
from impulse_nnunet.decoding.kernels import add_bends
from impulse_nnunet.network import NetworkSettings, build_network

GRID = (16, 20, 24)
SETTINGS = NetworkSettings((4, 8), ((1, 1, 1), (2, 2, 2)), (1, 1), template_grid=GRID, head_features=8)


def atlas(masks, sharpness):
    """Logits of masks on the template grid: signed distances in voxels, times a sharpness."""
    background = ~np.any(masks, axis=0)
    inside = [ndimage.distance_transform_edt(m) - ndimage.distance_transform_edt(~m) for m in (background, *masks)]
    return torch.from_numpy(np.stack(inside) * sharpness).float()


def encoded(masks, deform=0.0, correct=0.0, sharpness=1.0, box=None):
    torch.manual_seed(0)
    network = build_network(SETTINGS, 1, len(masks) + 1).eval()
    network.decoder.template.set_logits(atlas(masks, sharpness))
    with torch.no_grad():
        network.decoder.deformation.last.weight.normal_(0, deform)
        network.decoder.correction.last.weight.normal_(0, correct)
        image = torch.from_numpy(ndimage.gaussian_filter(np.random.default_rng(0).normal(size=GRID), 3)).float()
        pyramid = [level.float() for level in network.encode(image[None, None] * 20)]
    return EncodedBox([(network.decoder, pyramid)], box or Box.whole())


def mask(*box):
    result = np.zeros(GRID, bool)
    result[tuple(slice(*bounds) for bounds in box)] = True
    return result


SHAPES = {
    "thin sheet": [mask((4, 5), (2, 18), (2, 22))],
    "thin thread": [mask((7, 8), (9, 10), (2, 22))],
    "single voxel": [mask((5, 6), (5, 6), (5, 6)), mask((10, 11), (15, 16), (20, 21))],
    "touching at an edge": [mask((3, 8), (3, 10), (3, 12)), mask((8, 12), (10, 16), (12, 20))],
    "touching at a face": [mask((3, 8), (3, 10), (3, 20)), mask((8, 12), (3, 10), (3, 20))],
    "sheet between two blocks": [
        mask((2, 7), (3, 16), (3, 20)),
        mask((7, 8), (3, 16), (3, 20)),
        mask((8, 13), (3, 16), (3, 20)),
    ],
    "on the faces": [mask((0, 3), (0, 20), (0, 24)), mask((13, 16), (0, 20), (0, 24))],
}


def components(labels, label):
    return ndimage.label(labels == label, np.ones((3, 3, 3)))[1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("deform", "correct", "sharpness"), [(0, 0, 1), (0, 0, 20), (0.01, 0, 1), (0.03, 0.1, 1)])
def test_no_voxel_and_no_component_is_lost(shape, deform, correct, sharpness):
    box, grid = encoded(SHAPES[shape], deform, correct, sharpness), OutputGrid.native((70, 63, 90))
    every, some = decode_labels(box, grid, 10**5, exact=True), np.zeros(grid.shape, np.uint8)
    evaluated = decode_coarse_to_fine(box, grid, some)
    assert len(np.unique(every)) > 1
    assert evaluated < 0.9
    assert np.mean(every != some) <= 1e-4
    for label in range(1, len(SHAPES[shape]) + 1):
        assert components(some, label) == components(every, label)


def test_turned_grids_and_part_boxes():
    turned = Rotation.from_euler("xyz", (0.3, -0.2, 0.5)).as_matrix() @ np.diag([0.7, 0.6, 0.8])
    box = encoded(SHAPES["touching at a face"], 0.02, 0.05, box=Box(turned, np.array([0.1, 0, -0.1])))
    grid = OutputGrid.native((60, 70, 80))
    every, some = decode_labels(box, grid, 10**5, exact=True), np.zeros(grid.shape, np.uint8)
    decode_coarse_to_fine(box, grid, some)
    assert np.mean(every != some) <= 1e-4
    assert len(np.unique(every)) == 3


def test_labels_come_coarse_to_fine_where_it_pays():
    box, grid = encoded(SHAPES["thin sheet"], 0.02), OutputGrid.native((64, 80, 96))
    some = np.zeros(grid.shape, np.uint8)
    decode_coarse_to_fine(box, grid, some)
    np.testing.assert_array_equal(decode_labels(box, grid, 10**5), some)


def test_many_labels():
    masks = [mask((1 + i // 8, 2 + i // 8), (2 + 2 * (i % 8), 4 + 2 * (i % 8)), (2, 22)) for i in range(96)]
    box, grid = encoded(masks), OutputGrid.native((48, 60, 72))
    every, some = decode_labels(box, grid, 10**5, exact=True), np.zeros(grid.shape, np.uint8)
    decode_coarse_to_fine(box, grid, some)
    assert len(np.unique(every)) == 97
    np.testing.assert_array_equal(every, some)


def test_bends_by_hand():
    # second differences of 0 1 4 9: 2 and 2; of 5 5 5 8: 0 and 3; the ends take their neighbour's
    logits = np.array([[0, 5], [1, 5], [4, 5], [9, 8]], np.float32)
    bends = np.zeros_like(logits)
    add_bends(logits, 1, 0, 4, 4, 4, bends)
    np.testing.assert_array_equal(bends, [[2, 0], [2, 0], [2, 3], [2, 3]])


def test_bends_along_the_first_axis():
    # three planes of two nodes
    logits = np.array([[0], [1], [0], [1], [6], [1]], np.float32)
    bends = np.zeros_like(logits)
    add_bends(logits, 2, 0, 6, 3, 6, bends)
    np.testing.assert_array_equal(bends[:, 0], [6, 0, 6, 0, 6, 0])

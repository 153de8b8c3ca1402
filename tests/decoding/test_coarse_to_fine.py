"""Coarse to fine against the evaluation of every voxel, on shapes made on purpose and under random deformation."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from impulse_nnunet.decoding import EncodedBox, OutputGrid, decode_labels, decode_logits
from impulse_nnunet.decoding.coarse_to_fine import decode_coarse_to_fine
from impulse_nnunet.decoding.point_decoders import PlainPoints
from impulse_nnunet.decoding.row_kernels import bend_plane, settle_row
from impulse_nnunet.decoding.rows import fits_rows
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.network import NetworkSettings, build_network

GRID = (16, 20, 24)
SETTINGS = NetworkSettings(
    features_per_stage=(4, 8),
    strides=((1, 1, 1), (2, 2, 2)),
    blocks_per_stage=(1, 1),
    template_grid=GRID,
    head_features=8,
)


def atlas(masks, sharpness):
    """Logits of masks on the template grid: signed distances in voxels, times a sharpness."""
    background = ~np.any(masks, axis=0)
    inside = [ndimage.distance_transform_edt(m) - ndimage.distance_transform_edt(~m) for m in (background, *masks)]
    return torch.from_numpy(np.stack(inside) * sharpness).float()


PART = Box.from_faces([-0.9, -1, -0.7], [0.8, 0.9, 1])


def encoded(masks, deform=0.0, correct=0.0, sharpness=1.0, box=None, seed=0):
    torch.manual_seed(seed)
    network = build_network(SETTINGS, 1, len(masks) + 1).eval()
    network.decoder.template.set_logits(atlas(masks, sharpness))
    with torch.no_grad():
        network.decoder.deformation.last.weight.normal_(0, deform)
        network.decoder.correction.last.weight.normal_(0, correct)
        image = torch.from_numpy(ndimage.gaussian_filter(np.random.default_rng(0).normal(size=GRID), 3)).float()
        pyramid = [level.float() for level in network.encode(image[None, None] * 20)]
    result = EncodedBox([(network.decoder, pyramid)], box or Box.whole())
    result.sources = (network.decoder, pyramid)
    return result


def plain_member(box):
    """A decoder and a pyramid like those of an encoded box."""
    torch.manual_seed(0)
    network = build_network(SETTINGS, 1, box.number_of_classes).eval()
    return network.decoder, [torch.randn(1, 4, *GRID), torch.randn(1, 8, *(n // 2 for n in GRID))]


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
    # leads of class 1 over class 0: 5 4 1 -1, second differences -2 and 1; the ends take their neighbour's; the last
    # node's label is 0, so there it is the lead over class 1; then the larger of a node and the next
    logits = np.array([[0, 5], [1, 5], [4, 5], [9, 8]], np.float32)
    bends = np.full((4, 3, 2), 7, np.float32)
    bend_plane(logits, logits.argmax(1).astype(np.int32), np.array([1, 1, 4]), 1, 0, bends)
    np.testing.assert_array_equal(bends[:, 2], [[2, 0], [2, 0], [1, 1], [0, 1]])
    assert not bends[:, :2].any()  # along axes of one node nothing bends


def test_bends_along_the_first_axis_in_a_window():
    # planes 4, 5 and 6 of 7 in a window of three: plane 6 lies first; leads over class 1 along the first axis: 0 0 6
    planes = {4: [[0, 0], [1, 0]], 5: [[0, 0], [1, 0]], 6: [[6, 0], [1, 0]]}
    logits = np.array(planes[6] + planes[4] + planes[5], np.float32)
    bends = np.zeros((6, 3, 2), np.float32)
    for plane in (5, 6):
        bend_plane(logits, np.zeros(6, np.int32), np.array([7, 1, 2]), 3, plane, bends)
    np.testing.assert_array_equal(bends[:, 0, 1], [6, 0, 0, 0, 6, 0])


def test_cells_by_hand():
    # one row of three nodes, class 0 leads by 4, 4 and 1 with bends 1 and 2 along two axes: half of their sum is less
    # than 4, more than 1, so the first cell is settled and the second is not
    logits = np.array([[4, 0], [4, 0], [1, 0]], np.float32)
    bends, settled = np.zeros((3, 3, 2), np.float32), np.zeros(3, np.int32)
    bends[:, 0, 1], bends[:, 2, 1] = 1, 2
    settle_row(logits, bends, np.zeros(3, np.int32), 2, np.array([1, 1, 3]), 1, 0, 0, 1, 0.5, settled)
    np.testing.assert_array_equal(settled[:2], [0, -1])


@pytest.mark.parametrize("shape", ["thin sheet", "touching at a face"])
@pytest.mark.parametrize("folds", [1, 2])
def test_rows_and_points_say_the_same(shape, folds):
    members = [encoded(SHAPES[shape], 0.03, 0.1, box=PART, seed=seed).members[0] for seed in range(folds)]
    box, grid = encoded(SHAPES[shape], box=PART), OutputGrid.native((70, 63, 90))
    box.members = members
    assert fits_rows(box, grid)
    by_rows = decode_labels(box, grid, 10**5, exact=True)
    logits = decode_logits(box, grid, 10**5)  # point by point
    best = logits.max(0)
    chosen = np.take_along_axis(logits, by_rows[None].astype(np.int64), 0)[0]
    assert len(np.unique(by_rows)) > 1
    assert np.all(best - chosen <= 1e-4 * np.abs(best))


def test_a_grid_that_is_turned_or_flipped_is_decoded_point_by_point():
    box = encoded(SHAPES["thin sheet"], 0.02)
    turn = Rotation.from_euler("xyz", (0, 0, 0.3)).as_matrix()
    native = OutputGrid.native((20, 20, 20))
    assert not fits_rows(box, OutputGrid(native.shape, turn @ native.to_image))
    assert not fits_rows(box, OutputGrid(native.shape, np.diag([1.0, -1, 1]) @ native.to_image))
    assert not fits_rows(EncodedBox([plain_member(box)], Box.whole(), plain=True), native)


@pytest.mark.parametrize("size", [(1, 20, 24), (2, 3, 24), (16, 1, 1)])
def test_lattices_of_few_nodes(size):
    torch.manual_seed(0)
    network = build_network(
        NetworkSettings(
            features_per_stage=(4,), strides=((1, 1, 1),), blocks_per_stage=(1,), template_grid=size, head_features=8
        ),
        1,
        3,
    )
    network.decoder.template.set_logits(torch.randn(3, *size))
    box = EncodedBox([(network.decoder, [torch.randn(1, 4, *size)])], Box.whole())
    grid = OutputGrid.native((40, 41, 42))
    every, some = decode_labels(box, grid, 10**5, exact=True), np.zeros(grid.shape, np.uint8)
    decode_coarse_to_fine(box, grid, some)
    assert len(np.unique(every)) == 3
    assert np.mean(every != some) <= 1e-4


def test_every_voxel_is_evaluated_where_the_template_is_finer_than_the_lattice():
    # the only foreground is one voxel of a template five times as fine as the lattice: between all of its nodes
    network = build_network(
        NetworkSettings(
            features_per_stage=(4,),
            strides=((1, 1, 1),),
            blocks_per_stage=(1,),
            template_grid=(40,) * 3,
            head_features=8,
        ),
        1,
        2,
    )
    logits = torch.zeros(2, 40, 40, 40)
    logits[0] = 1
    logits[1, 20, 20, 20] = 9
    network.decoder.template.set_logits(logits)
    box = EncodedBox([(network.decoder, [torch.zeros(1, 4, 8, 8, 8)])], Box.whole())
    assert decode_labels(box, OutputGrid.native((40, 40, 40)), 10**5).sum() == 1


@pytest.mark.parametrize("shape", ["thin sheet", "touching at a face"])
def test_plain_points_find_the_same_labels(shape):
    box, grid = encoded(SHAPES[shape], 0.03, 0.1), OutputGrid.native((70, 63, 90))
    every = decode_labels(box, grid, 10**5, exact=True)
    box.members, some = [PlainPoints(*box.sources)], np.zeros(grid.shape, np.uint8)
    assert not fits_rows(box, grid)
    decode_coarse_to_fine(box, grid, some)
    assert np.mean(every != some) <= 1e-4

import numpy as np
from scipy import ndimage

from impulse_nnunet.phantom.grids import Grid
from impulse_nnunet.phantom.rasterise import OUTSIDE, capsules, labels_of_capsules, paint_distance, paint_labels
from impulse_nnunet.phantom.tree import Tree

GRID = Grid((0.0, 0.0, 0.0), (1.0, 0.8, 0.6), (40, 50, 60))


def chain(radius, *points):
    points = np.array(points, float)
    parents = np.arange(len(points)) - 1
    return Tree(points, parents, np.full(len(points), radius), np.ones(len(points), np.uint8))


def painted(tree):
    pieces = capsules(tree, GRID)
    return paint_labels(pieces, np.ones(len(pieces), np.uint8), GRID)


def test_a_capsule_has_its_volume():
    mask = painted(chain(5.0, (20, 10, 18), (20, 30, 18)))
    # cylinder of 20 mm and a ball: pi 25 20 + 4/3 pi 125 = 2094.4 mm3
    assert abs(mask.sum() * GRID.volume_mm3 / 2094.4 - 1) < 0.02


def test_a_thin_tube_stays_in_one_piece():
    mask = painted(chain(0.1, (2, 3, 4), (37, 20, 9), (5, 38, 30)))
    assert ndimage.label(mask, np.ones((3, 3, 3)))[1] == 1
    assert mask.sum() < 200


def test_distances_are_twentieths_of_a_millimetre():
    distance = paint_distance(capsules(chain(3.0, (20, 8, 18), (20, 32, 18)), GRID), GRID, 1.0)
    # 3 mm inside on the axis: 60 steps; 1 mm from it: 40; 3.6 mm from it: -12; farther than the margin: nothing
    assert distance[20, 25, 30] == 60
    assert distance[21, 25, 30] == 40
    assert abs(int(distance[20, 25, 36]) + 12) <= 1
    assert distance[25, 25, 30] == OUTSIDE


def test_where_pieces_meet_the_deeper_one_names_the_voxel():
    points = np.array([[20.0, 5, 18], [20, 35, 18], [20, 20, 18], [20, 20, 33]])
    tree = Tree(points, np.array([-1, 0, -1, 2]), np.array([4.0, 4, 2, 2]), np.array([1, 1, 2, 2], np.uint8))
    pieces, order = capsules(tree, GRID), labels_of_capsules(tree)
    labels = paint_labels(pieces, tree.labels[order], GRID)
    assert labels[20, 25, 30] == 1  # 4 mm deep in the first, 2 mm in the second
    assert labels[20, 25, 45] == 2


def test_a_branch_does_not_start_as_wide_as_its_parent():
    tree = Tree(np.array([[0.0, 0, 0], [10, 0, 0]]), np.array([-1, 0]), np.array([8.0, 2.0]), np.zeros(2, np.uint8))
    assert capsules(tree, GRID)[0, [3, 7]].tolist() == [2.5, 2.0]

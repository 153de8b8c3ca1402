import numpy as np
import pytest

from impulse_nnunet.phantom.tree import Tree, along_branches, fill_territory, split_points


def grow(seed=0, radius=40.0):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-radius, radius, (400, 3))
    points = points[(points**2).sum(1) < radius**2]
    edge, size = 2.0, 50
    centres = (np.indices((size,) * 3).reshape(3, -1).T - size / 2) * edge
    allowed = ((centres**2).sum(1) < radius**2).reshape(size, size, size)
    first = np.full(3, -size / 2 * edge)
    start = np.array([-radius + 6, 0.0, 0.0])
    return points, fill_territory(points.copy(), start, np.array([1.0, 0, 0]), allowed, first, edge), radius


def test_a_territory_is_filled():
    points, (ends, parents, served), radius = grow()
    assert np.all(parents < np.arange(len(parents)))
    roots = parents < 0
    assert served[roots].sum() == len(points)
    assert np.sqrt((ends**2).sum(1)).max() < radius + 2
    # every place is within 12 mm of a branch's end: points are about 8.7 mm apart
    gaps = np.sqrt(((points[:, None] - ends[None]) ** 2).sum(2)).min(1)
    assert gaps.max() < 15
    assert gaps.mean() < 6


def test_children_serve_no_more_than_their_parent():
    _, (_, parents, served), _ = grow(1)
    for node in range(len(parents)):
        assert served[parents == node].sum() <= served[node]


def test_points_are_split_across_their_largest_spread():
    # a plank along h: the heading is along d, so the plane that halves it is h = 0
    points = np.array([[0.0, h, 0.1 * (-1) ** h] for h in range(-5, 6) if h])
    middle = split_points(points, 0, len(points), np.array([1.0, 0.0, 0.0]))
    assert middle == 5
    assert len(set(np.sign(points[:5, 1]))) == len(set(np.sign(points[5:, 1]))) == 1


@pytest.fixture
def fork():
    points = np.array([[0.0, 0, 0], [10, 0, 0], [10, 6, 0], [10, 0, 8]])
    return Tree(points, np.array([-1, 0, 1, 1]), np.array([3.0, 2.0, 1.0, 0.5]), np.array([0, 0, 1, 2], np.uint8))


def test_points_along_branches(fork):
    places, labels = along_branches(fork, 2.5)
    # pieces of 10, 6 and 8 mm take 4, 3 and 4 steps
    assert len(places) == 11
    assert labels.tolist() == [0] * 4 + [1] * 3 + [2] * 4
    assert places[:4].tolist() == [[2.5, 0, 0], [5, 0, 0], [7.5, 0, 0], [10, 0, 0]]


def test_thin_branches_are_left_out_with_what_hangs_on_them(fork):
    assert fork.thicker_than(1.0).labels.tolist() == [0, 0, 1]
    assert fork.keeping(np.array([True, False, True, True])).labels.tolist() == [0]


def test_pieces_without_a_parent_become_roots(fork):
    pieces = fork.pieces(np.array([True, False, True, True]))
    assert pieces.parents.tolist() == [-1, -1, -1]
    assert fork.pieces(np.array([False, True, True, False])).parents.tolist() == [-1, 0]

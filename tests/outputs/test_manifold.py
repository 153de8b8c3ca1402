import numpy as np

from impulse_nnunet.outputs.manifold import separated

CUBE = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], float)
# outwards: z = 0, z = 1, y = 0, y = 1, x = 0, x = 1
SQUARES = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
TRIANGLES = np.array([[s[a], s[b], s[c]] for s in SQUARES for a, b, c in ((0, 1, 2), (0, 2, 3))])


def joined(points, triangles, more, shift):
    """Two cubes, points at the same place merged."""
    every, number = np.unique(np.concatenate([points, points + shift]).round(6), axis=0, return_inverse=True)
    return every, number[np.concatenate([triangles, more + len(points)])]


def test_a_cube_stays_as_it_is():
    source, triangles = separated(CUBE, TRIANGLES)
    assert sorted(source) == list(range(8))
    np.testing.assert_array_equal(source[triangles], TRIANGLES)


def test_two_cubes_at_an_edge_or_a_corner_part():
    for shift, number in ((np.array([1, 1, 0]), 14), (np.array([1, 1, 1]), 15)):
        points, triangles = joined(CUBE, TRIANGLES, TRIANGLES, shift)
        assert len(points) == number
        source, parted = separated(points, triangles)
        assert len(source) == 16
        np.testing.assert_array_equal(source[parted], triangles)
        edges = np.sort(np.concatenate([parted[:, [0, 1]], parted[:, [1, 2]], parted[:, [2, 0]]]), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
        assert not set(parted[:12].ravel()) & set(parted[12:].ravel())

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from impulse_nnunet.phantom.veins import cheapest_ways


def test_cheapest_ways_are_dijkstras():
    rng = np.random.default_rng(0)
    shape = (5, 6, 7)
    cost = rng.uniform(0.2, 3, shape)
    lobes = np.ones(shape, np.uint8)
    lobes[:, 3:] = 2
    places = np.indices(shape).reshape(3, -1).T
    rows, columns, weights = [], [], []
    for a, first in enumerate(places):
        for b, second in enumerate(places):
            step = np.abs(first - second)
            if a != b and step.max() == 1 and lobes[tuple(first)] == lobes[tuple(second)]:
                rows.append(a)
                columns.append(b)
                weights.append(cost[tuple(second)] * np.sqrt((step**2).sum()))
    graph = csr_matrix((weights, (rows, columns)), shape=(len(places),) * 2)
    sources = np.array([0, len(places) - 1])
    expected = dijkstra(graph, indices=sources).min(0)
    distance, parent = cheapest_ways(cost, lobes, sources)
    assert np.allclose(distance.reshape(-1), expected)
    assert parent.reshape(-1)[sources].tolist() == [-1, -1]
    step = np.abs(places[parent.reshape(-1)[5]] - places[5])
    assert step.max() == 1


def test_another_lobe_is_not_reached():
    lobes = np.ones((3, 3, 6), np.uint8)
    lobes[:, :, 3:] = 2
    distance, _ = cheapest_ways(np.ones(lobes.shape), lobes, np.array([0]))
    assert np.isfinite(distance[:, :, :3]).all()
    assert np.isinf(distance[:, :, 3:]).all()

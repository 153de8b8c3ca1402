"""Closed surfaces as programs want them: two triangles at each edge, one fan of triangles around each point.

Two voxels of a label that share only an edge or a corner make a surface that touches itself: four triangles at an edge.
Here it is taken apart there; points are doubled, none is moved.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components


def separated(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take a closed surface apart where it touches itself.

    Args:
        points: (n, 3).
        triangles: (m, 3), oriented outwards; each edge is in two of them, or in four.

    Returns:
        (k,) the point that each new point comes from, and the triangles (m, 3) of new points.
    """
    first, second = _paired_half_edges(points, triangles)
    following = np.arange(triangles.size).reshape(-1, 3)[:, [1, 2, 0]].reshape(-1)
    # a half-edge has the number of the corner that it starts from; its pair runs the other way
    rows = np.concatenate([first, following[first]])
    columns = np.concatenate([following[second], second])
    links = scipy.sparse.coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(triangles.size,) * 2)
    number, fan = connected_components(links.tocsr(), directed=False)
    source = np.empty(number, np.int64)
    source[fan] = triangles.reshape(-1)
    return source, fan.reshape(-1, 3).astype(np.int64)


def _paired_half_edges(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half-edges in pairs, one from each side of an edge of the surface."""
    start, stop = triangles.reshape(-1), triangles[:, [1, 2, 0]].reshape(-1)
    edge = np.minimum(start, stop) * len(points) + np.maximum(start, stop)
    order = np.lexsort((start > stop, edge))  # by edge, those towards the larger index first
    _, begin, count = np.unique(edge[order], return_index=True, return_counts=True)
    two, four = begin[count == 2], begin[count == 4]
    pairs = [order[two], order[two + 1]]
    if len(four):
        around = order[four[:, None] + np.arange(4)]
        angles = _angles(points, triangles, around)
        # inside lies on the negative side of a triangle that runs forwards
        gaps = (angles[:, :2, None] - angles[:, None, 2:]) % (2 * np.pi)
        crossed = gaps[:, 0, 1] + gaps[:, 1, 0] < gaps[:, 0, 0] + gaps[:, 1, 1]
        back = np.where(crossed[:, None], around[:, [3, 2]], around[:, [2, 3]])
        pairs = [np.concatenate([pairs[0], around[:, :2].reshape(-1)]), np.concatenate([pairs[1], back.reshape(-1)])]
    return pairs[0], pairs[1]


def _angles(points: np.ndarray, triangles: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Angles (e, 4) of the triangles around edges, about the direction of the first half-edge.

    Args:
        points: (n, 3).
        triangles: (m, 3).
        around: (e, 4) half-edges of each edge, two in its direction, then two against it.
    """
    corner = np.arange(triangles.size).reshape(-1, 3)
    start = points[triangles.reshape(-1)[around[:, 0]]]
    stop = points[triangles[:, [1, 2, 0]].reshape(-1)[around[:, 0]]]
    axis = (stop - start) / np.linalg.norm(stop - start, axis=1, keepdims=True)
    opposite = points[triangles.reshape(-1)[corner[:, [2, 0, 1]].reshape(-1)[around]]] - start[:, None]
    across = opposite - np.einsum("eij,ej->ei", opposite, axis)[..., None] * axis[:, None]
    one = across[:, :1] / np.linalg.norm(across[:, :1], axis=2, keepdims=True)
    other = np.cross(axis[:, None], one)
    return np.arctan2((across * other).sum(axis=2), (across * one).sum(axis=2))

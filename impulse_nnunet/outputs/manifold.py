"""Closed surfaces as programs want them: two triangles at each edge, one fan of triangles around each point.

Two voxels of a label that share only an edge or a corner make a surface that touches itself: four triangles at an edge.
Here it is taken apart there; points are doubled, none is moved. An edge at whose two ends the surface hangs together is
cut in its middle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components


def separated(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take a closed surface apart where it touches itself.

    Args:
        points: (n, 3).
        triangles: (m, 3), oriented outwards; each edge is in two of them, or in four.

    Returns:
        (k, 2) the points in whose middle each new point lies, the same one twice but for cut edges; and the triangles
        (m or a few more, 3) of new points.
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
    parted = fan.astype(np.int64)
    edge = np.sort(np.stack([parted[first], parted[following[first]]], axis=1), axis=1) @ [number, 1]
    twice = np.ones(len(edge), bool)
    twice[np.unique(edge, return_index=True)[1]] = False
    pairs = np.stack([first[twice], second[twice]], axis=1)
    return _with_cut_edges(np.stack([source, source], axis=1), parted.reshape(-1, 3), pairs)


def _with_cut_edges(source: np.ndarray, triangles: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut the edges of pairs of half-edges (p, 2) in their middle: another edge has the same two ends."""
    corners: list[list[int]] = triangles.tolist()
    middles: list[list[Any]] = []
    parts: dict[int, list[int]] = {}  # of triangles that were cut

    def cut(triangle: int, start: int, stop: int, middle: int) -> None:
        own = parts.setdefault(triangle, [triangle])
        for part in own:
            for turn in range(3):
                a, b, c = corners[part][turn:] + corners[part][:turn]
                if (a, b) == (start, stop):
                    corners[part] = [a, middle, c]
                    corners.append([middle, b, c])
                    own.append(len(corners) - 1)
                    return

    if not len(pairs):
        return source, triangles
    for half_edge, opposite in pairs.tolist():
        start, stop = int(triangles.flat[half_edge]), int(triangles[:, [1, 2, 0]].flat[half_edge])
        middle = len(source) + len(middles)
        middles.append([int(source[start, 0]), int(source[stop, 0])])
        cut(half_edge // 3, start, stop, middle)
        cut(opposite // 3, stop, start, middle)
    return np.concatenate([source, middles]), np.array(corners)


def _paired_half_edges(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half-edges in pairs, one from each side of an edge of the surface."""
    start, stop = triangles.reshape(-1), triangles[:, [1, 2, 0]].reshape(-1)
    edge = np.minimum(start, stop) * len(points) + np.maximum(start, stop)
    order = np.argsort(2 * edge + (start > stop))  # by edge, those towards the larger index first
    ordered = edge[order]
    begin = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    count = np.diff(begin, append=len(ordered))
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

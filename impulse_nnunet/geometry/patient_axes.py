"""Which axes of an array run along the patient's."""

from __future__ import annotations

import numpy as np


def along_patient(to_world: np.ndarray) -> list[tuple[int, bool]]:
    """For x, y, z of LPS: the array axis that runs nearest to it, and whether it runs backwards.

    Args:
        to_world: 4 x 4, (d, h, w) indices to LPS.
    """
    directions = to_world[:3, :3] / np.linalg.norm(to_world[:3, :3], axis=0)
    axes: list[int] = []
    backwards = []
    for along in directions:
        free = [axis for axis in range(3) if axis not in axes]
        axes.append(free[int(np.argmax(np.abs(along[free])))])
        backwards.append(bool(along[axes[-1]] < 0))
    return list(zip(axes, backwards, strict=True))


def turned_along_patient(image: np.ndarray, to_world: np.ndarray) -> np.ndarray:
    """A (d, h, w) array as a view with axes nearest to z, y, x of LPS, each growing with it."""
    axes = along_patient(to_world)[::-1]
    turned = image.transpose([axis for axis, _ in axes])
    return turned[tuple(slice(None, None, -1 if flipped else 1) for _, flipped in axes)]

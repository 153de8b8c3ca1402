"""Solids with known distances on grids that lie anyhow in the world."""

import numpy as np
from scipy.spatial.transform import Rotation


def random_grid(rng, spacing_mm=(0.7, 2.2), turned=True):
    """(d, h, w) indices to LPS: any rotation, axes flipped at random, three spacings, any origin."""
    axes = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix() if turned else np.eye(3)
    axes = axes @ np.diag(rng.choice([-1.0, 1.0], 3))
    to_world = np.eye(4)
    to_world[:3, :3] = axes @ np.diag(rng.uniform(*spacing_mm, 3))
    to_world[:3, 3] = rng.uniform(-200, 200, 3)
    return to_world


def positions(shape, to_world):
    """(d, h, w, 3) world positions of all voxels' centres."""
    indices = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return indices @ to_world[:3, :3].T + to_world[:3, 3]


def diagonal_mm(to_world):
    return float(np.linalg.norm(np.linalg.norm(to_world[:3, :3], axis=0)))


def ball(at, centre, radius_mm):
    return ((at - centre) ** 2).sum(-1) <= radius_mm**2


def rod(at, start, end, radius_mm):
    """All within a radius of a straight piece."""
    way = end - start
    along = np.clip(((at - start) @ way) / (way @ way), 0, 1)
    return ((at - start - along[..., None] * way) ** 2).sum(-1) <= radius_mm**2


def unit(rng):
    direction = rng.normal(size=3)
    return direction / np.linalg.norm(direction)

"""Arrays as a page holds them, for ``viewer/src/decode.js``: base64 of gzip, whole numbers as planes of bytes."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass, field

import numpy as np

LEVEL = 6  # of gzip
POSITION_BYTES, INDEX_BYTES = 3, 4
STEPS = 65535  # of a position along the scene's longest edge: 6 micrometres for 40 cm


@dataclass
class Chunks:
    """What is embedded in a page, in order.

    Args:
        texts: Base64 each.
    """

    texts: list[str] = field(default_factory=list)

    def add(self, content: bytes) -> int:
        """Embed bytes; returns the chunk's number."""
        self.texts.append(packed(content))
        return len(self.texts) - 1

    @property
    def size(self) -> int:
        """Characters of all."""
        return sum(map(len, self.texts))


@dataclass(frozen=True)
class PositionGrid:
    """The grid that points of all meshes are rounded to, so that those shared by neighbours stay shared.

    Args:
        lower: (3,) world position of its first node, mm.
        step: Distance of nodes, mm.
    """

    lower: np.ndarray
    step: float

    @classmethod
    def around(cls, lower: np.ndarray, upper: np.ndarray) -> PositionGrid:
        """Around a box in the world."""
        return cls(np.asarray(lower, float), max(float(np.max(upper - lower)), 1e-3) / STEPS)

    def steps(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 3), mm, as whole numbers of steps."""
        return np.rint((points - self.lower) / self.step).astype(np.int64)


def packed(content: bytes) -> str:
    """Base64 of gzip, the same at each call."""
    return base64.b64encode(gzip.compress(content, LEVEL, mtime=0)).decode("ascii")


def byte_planes(values: np.ndarray, width: int) -> bytes:
    """Differences of whole numbers, zigzag (0, -1, 1, -2, ...), as planes of bytes, the lowest first.

    Args:
        values: (n,) whole numbers, whose differences fit.
        width: Bytes of a number.

    Raises:
        OverflowError: They do not fit.
    """
    numbers = np.concatenate([[0], np.asarray(values, np.int64)])
    steps: np.ndarray = numbers[1:] - numbers[:-1]
    zigzag = (steps << 1) ^ (steps >> 63)
    if zigzag.size and int(zigzag.max()) >= 1 << (8 * width - 1):
        raise OverflowError(f"a difference of {int(zigzag.max()) >> 1} in {width} bytes")
    return b"".join(((zigzag >> (8 * byte)) & 255).astype(np.uint8).tobytes() for byte in range(width))


def mesh_bytes(points: np.ndarray, triangles: np.ndarray, grid: PositionGrid) -> bytes:
    """A mesh: x, y and z of its points, then the first corners, and the second and third less the first.

    Args:
        points: (n, 3) world positions, mm.
        triangles: (m, 3) indices.
        grid: What the points are rounded to.
    """
    steps = grid.steps(points)
    parts = [byte_planes(steps[:, axis], POSITION_BYTES) for axis in range(3)]
    first, second, third = triangles.T
    parts += [byte_planes(values, INDEX_BYTES) for values in (first, second - first, third - first)]
    return b"".join(parts)


def differences(levels: np.ndarray) -> bytes:
    """Bytes less the one before, modulo 256."""
    flat = np.ascontiguousarray(levels, np.uint8).reshape(-1)
    return np.diff(flat, prepend=np.uint8(0)).astype(np.uint8).tobytes()

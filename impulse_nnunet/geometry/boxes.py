"""Boxes: parts of an image, from its voxels' indices or as a region of interest.

A *box* is a possibly rotated parallelepiped inside an image. Its map takes positions p in the box, each in [-1, 1], to
positions in the image: ``image = matrix @ p + centre``, both in the convention of
:mod:`impulse_nnunet.geometry.coordinates`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Box:
    """A box inside an image: ``image position = matrix @ box position + centre`` (see the module's docstring).

    Args:
        matrix: (3, 3) float64.
        centre: (3,) float64.
    """

    matrix: np.ndarray
    centre: np.ndarray

    @classmethod
    def whole(cls) -> Box:
        """The whole image."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_faces(cls, lower: Sequence[float] | np.ndarray, upper: Sequence[float] | np.ndarray) -> Box:
        """An upright box from its outer faces, (3,) each, in image positions."""
        lower, upper = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
        return cls(np.diag((upper - lower) / 2), (upper + lower) / 2)

    @property
    def faces(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper faces (3,) of an upright box, in image positions."""
        half = np.diag(self.matrix)
        return self.centre - half, self.centre + half

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Map (n, 3) box positions to image positions."""
        return points @ self.matrix.T + self.centre

    def from_image(self, points: np.ndarray) -> np.ndarray:
        """Map (n, 3) image positions to box positions."""
        return (points - self.centre) @ np.linalg.inv(self.matrix).T


def region_box(foreground_faces: np.ndarray, margin: float) -> Box:
    """The box that is encoded: the foreground's (2, 3) faces with a margin on each side, clipped to the image.

    Args:
        foreground_faces: Lower and upper faces in image positions.
        margin: Share of the box's edge.
    """
    lower, upper = foreground_faces
    grow = margin * (upper - lower)
    return Box.from_faces(np.maximum(lower - grow, -1), np.minimum(upper + grow, 1))


def moved_out(box: Box, faces: np.ndarray, share: float) -> Box:
    """An upright box with some of its faces moved outwards, clipped to the image.

    Args:
        box: The box.
        faces: (3, 2) bool, the lower and upper faces that move.
        share: Of the box's edge.
    """
    lower, upper = box.faces
    step = share * (upper - lower)
    return Box.from_faces(np.maximum(lower - step * faces[:, 0], -1), np.minimum(upper + step * faces[:, 1], 1))


def faces_from_indices(lower: np.ndarray, upper: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Faces, in image positions, of the voxels ``lower`` (included) to ``upper`` (excluded) of an image."""
    size = np.asarray(shape, np.float64)
    return 2 * np.asarray(lower) / size - 1, 2 * np.asarray(upper) / size - 1


def bounding_box(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """First (included) and last (excluded) index of the nonzero voxels along each axis; None for an empty mask."""
    lower, upper = [], []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        found = np.flatnonzero(mask.any(axis=others))
        if not len(found):
            return None
        lower.append(found[0])
        upper.append(found[-1] + 1)
    return np.asarray(lower), np.asarray(upper)

"""Label maps for tests, with known answers."""

import numpy as np
import SimpleITK as sitk

from impulse_nnunet.io.grid import FileGrid


def turn(degrees, axis):
    """Rotation matrix by Rodrigues' formula."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


OBLIQUE = turn(25, (1, 2, 3))
FLIPPED = np.diag([-1.0, 1.0, 1.0])
DIRECTIONS = [np.eye(3), OBLIQUE, FLIPPED, OBLIQUE @ FLIPPED, np.eye(3)[[1, 2, 0]]]


def grid_of(shape, spacing_mm=(1, 1, 1), direction=None, origin=(0, 0, 0)):
    """Spacing and origin (x, y, z)."""
    return FileGrid(
        size=tuple(shape)[::-1],
        spacing_mm=np.asarray(spacing_mm, float),
        origin=np.asarray(origin, float),
        direction=np.eye(3) if direction is None else np.asarray(direction, float),
    )


def two_boxes():
    """Label 1 on label 4, (7, 9, 8)."""
    labels = np.zeros((7, 9, 8), np.uint8)
    labels[1:3, 2:7, 1:6] = 1
    labels[3:6, 2:7, 1:6] = 4
    return labels


def ball(radius_mm, spacing_mm):
    size = [2 * int(radius_mm / step + 3) for step in spacing_mm]
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(size, spacing_mm, strict=True)]
    distance = np.sqrt(axes[2][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[0] ** 2)
    return (distance < radius_mm).astype(np.uint8)


def save(path, labels, grid):
    """By SimpleITK."""
    image = sitk.GetImageFromArray(labels)
    grid.put_on(image)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path

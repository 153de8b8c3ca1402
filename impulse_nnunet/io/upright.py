"""Oblique images: sampled in the nearest upright grid for the network (docs/decisions/0027-oblique-images.md).

The upright grid has axes along the world's, the spacing of the image's nearest axes and the image's centre, and covers
the whole image. What lies outside the image gets each channel's smallest value, and label 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from impulse_nnunet.io.affines import angle_degrees, nearest_axes, nearest_rotation
from impulse_nnunet.io.grid import FileGrid, reader_grid, reader_to_world

OBLIQUE_FROM = 5.0  # degrees; the turns that patients and training augmentation have anyway lie below
OWN = "impulse_own_grid"  # in the properties of an upright image: the reader's shape and properties
NEAR = 1e-3  # of a voxel: rounding adds none


@dataclass(frozen=True)
class UprightGrid:
    """Where to sample a reader's array.

    Args:
        shape: (d, h, w) of the upright array.
        to_world: World position of its indices.
        to_array: (4, 4), upright indices (d, h, w, 1) to those of the reader's array.
    """

    shape: tuple[int, int, int]
    to_world: np.ndarray
    to_array: np.ndarray

    def sample(self, volume: np.ndarray, outside: float, order: int) -> np.ndarray:
        """Sample a reader's (d, h, w) array: linear (``order`` 1) or nearest neighbour (0)."""
        return np.asarray(
            ndimage.affine_transform(
                volume,
                self.to_array[:3, :3],
                self.to_array[:3, 3],
                self.shape,
                order=order,
                mode="grid-constant",
                cval=outside,
                prefilter=False,
            )
        )

    def sample_image(self, images: np.ndarray) -> np.ndarray:
        """Sample (channel, d, h, w)."""
        upright = np.empty((len(images), *self.shape), images.dtype)
        for place, channel in zip(upright, images, strict=True):
            place[...] = self.sample(channel, float(channel.min()), order=1)
        return upright

    def properties(self, own: Mapping[str, Any], own_shape: tuple[int, ...]) -> dict[str, Any]:
        """The reader's properties as an upright file would have them; the image's own lie under :data:`OWN`."""
        return _placed(own, self.shape, self.to_world) | {OWN: {"shape": own_shape, "properties": dict(own)}}


def upright_grid(shape: tuple[int, ...], properties: Mapping[str, Any]) -> UprightGrid | None:
    """The upright grid of a reader's array (d, h, w), or None where it is upright already or has no place."""
    if reader_to_world(properties) is None:
        return None
    own = reader_grid(shape, properties)
    direction = nearest_rotation(own.direction)
    axes = nearest_axes(direction)
    if angle_degrees(axes, direction) < OBLIQUE_FROM:
        return None
    edges = np.asarray(own.size) * own.spacing_mm
    covered = np.abs(axes.T @ own.direction) @ edges  # of the box around the image, along the upright axes
    size = np.ceil(covered / own.spacing_mm - NEAR).astype(int)
    centre = own.origin + own.direction @ (own.spacing_mm * (np.asarray(own.size) - 1) / 2)
    origin = centre - axes @ (own.spacing_mm * (size - 1) / 2)
    x, y, z = size.tolist()
    upright = FileGrid(size=(x, y, z), spacing_mm=own.spacing_mm, origin=origin, direction=axes)
    return UprightGrid(upright.shape, upright.to_world, np.linalg.inv(own.to_world) @ upright.to_world)


def own_grid(properties: Mapping[str, Any]) -> tuple[FileGrid, dict[str, Any]] | None:
    """The image's own grid, as its reader gives it, and the reader's properties; None where the array has it."""
    if OWN not in properties:
        return None
    own = properties[OWN]
    return reader_grid(own["shape"], own["properties"]), own["properties"]


def moved_properties(properties: Mapping[str, Any], first: np.ndarray) -> dict[str, Any]:
    """The properties of an upright array from the voxel ``first`` (d, h, w) on, which may lie outside."""
    to_world = reader_to_world(properties)
    if to_world is None:
        raise ValueError("properties without a place, expected those of an upright image")
    to_world = to_world.copy()
    to_world[:3, 3] += to_world[:3, :3] @ first
    return _placed(properties, (1, 1, 1), to_world)  # they do not hold the shape


def _placed(properties: Mapping[str, Any], shape: tuple[int, int, int], to_world: np.ndarray) -> dict[str, Any]:
    grid = FileGrid.from_array(shape, to_world)
    placed = dict(properties) | {"spacing": grid.spacing_mm[::-1].tolist()}
    if "nibabel_stuff" in properties:
        return placed | {"nibabel_stuff": dict.fromkeys(properties["nibabel_stuff"], grid.ras_affine)}
    stuff = {"spacing": grid.spacing_mm.tolist(), "origin": grid.origin.tolist()}
    stuff["direction"] = grid.direction.ravel().tolist()
    return placed | {"sitk_stuff": {**properties["sitk_stuff"], **stuff}}

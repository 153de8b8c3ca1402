"""Volumes, surface areas, extents and HU of labels, lobes and lungs.

The area is that of the surface that ``export`` writes by default, smoothed within half the diagonal of a voxel: on
balls and boxes at any angle, of ten voxels and more, within 5 % of the true one, where marching cubes are up to 19 %
too large and Crofton's formula in 13 directions up to 17 % too small on anisotropic voxels (docs/outputs.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.grey_images import read_grey_image
from impulse_nnunet.io.label_maps import LabelMap, count_values
from impulse_nnunet.io.same_grid import check_same_grid
from impulse_nnunet.outputs.cases import Segments
from impulse_nnunet.outputs.extents import Extents, extents_of
from impulse_nnunet.outputs.groups import Group, groups_of
from impulse_nnunet.outputs.surfaces import default_smooth_mm
from impulse_nnunet.outputs.trees import read_trees

EMPHYSEMA_HU = -950.0  # Gevenois et al. 1996, Am J Respir Crit Care Med 154:187
HIGHEST_MINIMUM_HU = 0.0  # a chest CT holds air; values from 0 on are stored numbers that were not rescaled
ML = 1e-3  # of a mm3


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Sums over the voxels of each label; arrays by label from 0 on.

    Args:
        voxels: Number.
        hu: Sum of HU; None without a CT.
        emphysema: Voxels below -950 HU; None without a CT.
        trees: Tree -> voxels.
    """

    voxels: np.ndarray
    hu: np.ndarray | None
    emphysema: np.ndarray | None
    trees: Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Numbers of one label, lobe or lung.

    Args:
        group: What it is.
        voxels: Number.
        volume_ml: Voxels times the volume of one.
        surface_mm2: Area of the smoothed surface.
        mean_hu: None without a CT, or without voxels.
        extent_mm: From the first to the last face along x, y and z of the world (patient's left, back, head).
        share_of_lobe: Of a label's voxels in those of its lobe; None without a lobe.
        emphysema_share: Of voxels below -950 HU; None without a CT, or without voxels.
        trees_ml: Tree -> volume inside.
    """

    group: Group
    voxels: int
    volume_ml: float
    surface_mm2: float
    mean_hu: float | None
    extent_mm: tuple[float, float, float]
    share_of_lobe: float | None
    emphysema_share: float | None
    trees_ml: Mapping[str, float]


def measure(segments: Segments, ct: Path | None = None, trees: Mapping[str, Path] | None = None) -> list[Measurement]:
    """Measure the labels, lobes and lungs of a case.

    Args:
        segments: The label map.
        ct: CT in HU on its grid.
        trees: Tree -> label map on its grid.

    Raises:
        InputError: A file that cannot be read, lies on another grid, or holds no HU.
    """
    label_map, groups = segments.label_map, groups_of(segments)
    sums = sums_of(label_map, ct, trees or {})
    grid, present = label_map.grid, set(segments.present)
    extents = extents_of(label_map.labels, grid, present, default_smooth_mm(grid.spacing_mm))
    voxel_ml = float(np.prod(grid.spacing_mm)) * ML
    lobes = {name: tuple(present & {*labels}) for name, labels in segments.names.lobes.items()}
    return [_row(group, sums, extents, voxel_ml, lobes) for group in groups]


def sums_of(label_map: LabelMap, ct: Path | None, trees: Mapping[str, Path]) -> Sums:
    """Sums over the voxels of each label."""
    labels = label_map.labels
    voxels = count_values(labels)
    hu = emphysema = None
    if ct is not None:
        values = read_hu(ct, label_map)
        hu, emphysema = np.zeros(len(voxels)), np.zeros(len(voxels), np.int64)
        for part, grey in zip(labels, values, strict=True):  # slice by slice: no second volume of floats
            flat, grey = part.reshape(-1), grey.reshape(-1)
            hu += np.bincount(flat, weights=grey, minlength=len(voxels))
            emphysema += np.bincount(flat[grey < EMPHYSEMA_HU], minlength=len(voxels))
    inside = {
        name: count_values(labels[mask][None, None], len(voxels)) for name, mask in read_trees(trees, label_map).items()
    }
    return Sums(voxels=voxels, hu=hu, emphysema=emphysema, trees=inside)


def read_hu(path: Path, label_map: LabelMap) -> np.ndarray:
    """A CT's values (d, h, w), on the grid of a label map.

    Raises:
        InputError: Another grid, or no HU.
    """
    image = read_grey_image(path)
    check_same_grid(image.grid, label_map.grid, str(path), str(label_map.path))
    low, high = float(image.values.min()), float(image.values.max())
    if low >= HIGHEST_MINIMUM_HU:
        expected = "HU, in which air is about -1000"
        raise InputError(str(path), f"values from {low:g} to {high:g}", expected, "apply the slope and intercept")
    return image.values


def _row(
    group: Group, sums: Sums, extents: Extents, voxel_ml: float, lobes: Mapping[str, tuple[int, ...]]
) -> Measurement:
    chosen = list(group.labels)
    voxels = 0 if group.empty else int(sums.voxels[chosen].sum())
    of_lobe = int(sums.voxels[list(lobes[group.lobe])].sum()) if group.lobe else 0

    def share(counts: np.ndarray | None) -> float | None:
        return None if counts is None or group.empty else float(counts[chosen].sum() / voxels)

    return Measurement(
        group=group,
        voxels=voxels,
        volume_ml=voxels * voxel_ml,
        surface_mm2=0.0 if group.empty else extents.area_mm2(chosen),
        mean_hu=share(sums.hu),
        extent_mm=(0.0, 0.0, 0.0) if group.empty else extents.extent_mm(chosen),
        share_of_lobe=voxels / of_lobe if of_lobe else None,
        emphysema_share=share(sums.emphysema),
        trees_ml={
            name: 0.0 if group.empty else float(counts[chosen].sum()) * voxel_ml for name, counts in sums.trees.items()
        },
    )

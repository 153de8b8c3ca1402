"""The volumes of one case for its pictures and the masks that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

LUNG_WINDOW_HU = (-1350.0, 150.0)
AIR_HU = -800.0  # below it an image holds HU of a chest


@dataclass(frozen=True, kw_only=True)
class CaseVolumes:
    """What the pictures of a case show; all arrays (z, y, x) in LPS with one shape.

    Args:
        spacing_mm: (z, y, x).
        origin_mm: Place of the first voxel, (z, y, x) in LPS.
        reference: Labels.
        predictions: Method -> labels.
        trees: Tree -> whether a voxel belongs to it.
        own: Tree -> the label of the segment that each of its voxels belongs to, 0 elsewhere; only trees that have
            segments of their own (intersegmental veins have none).
        image: Grey values, or None.
        notes: What is missing and why.
        scored: Whether there is a reference; without one, ``reference`` is the prediction.
    """

    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    reference: np.ndarray
    predictions: dict[str, np.ndarray]
    trees: dict[str, np.ndarray]
    own: dict[str, np.ndarray]
    image: np.ndarray | None
    notes: list[str]
    scored: bool = True

    @cached_property
    def grey_range(self) -> tuple[float, float]:
        """Values to draw black and white: the lung window for a chest CT, else the middle 98 %."""
        if self.image is None:
            return 0.0, 1.0
        low, high = (float(value) for value in np.percentile(self.image, (1, 99)))
        return LUNG_WINDOW_HU if low < AIR_HU else (low, max(high, low + 1e-6))

    def slab(self, axis: int, index: int) -> CaseVolumes:
        """One layer across an axis, still three-dimensional."""
        chosen = tuple(slice(index, index + 1) if axis == one else slice(None) for one in range(3))
        predictions, trees, own = (
            {name: array[chosen] for name, array in arrays.items()}
            for arrays in (self.predictions, self.trees, self.own)
        )
        image = None if self.image is None else self.image[chosen]
        return replace(
            self, reference=self.reference[chosen], predictions=predictions, trees=trees, own=own, image=image
        )

    def wrong(self, method: str) -> np.ndarray:
        """Voxels whose label is not the reference's."""
        return self.predictions[method] != self.reference

    def intruding(self, method: str, tree: str) -> np.ndarray:
        """Tree voxels outside the predicted segment of their own label: T_i minus PS_i (paper, Eq. 3)."""
        if tree not in self.own:
            return np.zeros(self.reference.shape, bool)
        return (self.own[tree] > 0) & (self.own[tree] != self.predictions[method])

    def any_intruding(self, method: str) -> np.ndarray:
        """Intruding voxels of any tree."""
        result = np.zeros(self.reference.shape, bool)
        for tree in self.trees:
            result |= self.intruding(method, tree)
        return result

    def any_tree(self) -> np.ndarray:
        """Voxels of any tree."""
        result = np.zeros(self.reference.shape, bool)
        for mask in self.trees.values():
            result |= mask
        return result

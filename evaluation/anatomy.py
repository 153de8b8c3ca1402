"""How a tree (bronchi, arteries, veins) lies in the predicted segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from impulse_nnunet.evaluation.intrusions import Intrusions, SegmentSurfaces, find_intrusions
from impulse_nnunet.evaluation.overlap import as_classes, confusion_matrix, dice_from_confusion
from impulse_nnunet.evaluation.settings import MetricSettings


@dataclass(frozen=True, kw_only=True)
class TreeMetrics:
    """One tree in one case.

    Args:
        confusion: (class of the tree, class of the prediction) voxels of the tree.
        dice_inside: (class - 1,) Dice of reference and prediction on the tree's voxels.
        n_outside: Tree voxels in no reference segment.
        intrusions: None for a tree without a segment of its own.
    """

    confusion: np.ndarray
    dice_inside: np.ndarray
    n_outside: int
    intrusions: Intrusions | None

    @property
    def n_voxels(self) -> np.ndarray:
        """(class - 1,) voxels of T_i."""
        return self.confusion[1:].sum(1)

    @property
    def n_background(self) -> np.ndarray:
        """(class - 1,) voxels of T_i that were predicted as background."""
        return self.confusion[1:, 0]

    @property
    def share_in_segment(self) -> np.ndarray:
        """(class - 1,) share of T_i inside predicted segment i; NaN where T_i is empty."""
        own, total = self.confusion.diagonal()[1:].astype(np.float64), self.n_voxels
        return np.divide(own, total, out=np.full(len(own), np.nan), where=total > 0)

    def share_of(self, classes: Sequence[int]) -> float:
        """Share of the tree voxels of some classes that lie inside their own predicted segments; NaN without any."""
        chosen = list(classes)
        total = int(self.confusion[chosen].sum())
        return float(self.confusion.diagonal()[chosen].sum() / total) if total else float("nan")


def tree_metrics(
    tree: np.ndarray,
    reference: np.ndarray,
    prediction: np.ndarray,
    number_of_classes: int,
    surfaces: SegmentSurfaces | None,
    settings: MetricSettings,
) -> TreeMetrics:
    """Measure one tree.

    Args:
        tree: (d, h, w), 0 outside; the class of each voxel if ``settings.tree_labels``.
        reference: The same shape; classes 0 to ``number_of_classes`` - 1.
        prediction: Likewise.
        number_of_classes: Background included.
        surfaces: Surfaces of the prediction; None for a tree that has no segment of its own: no intrusions then.
        settings: Which groups count, and whether the tree carries classes.
    """
    inside = tree > 0
    places = np.flatnonzero(inside)
    at_reference, at_prediction = reference.reshape(-1)[places], prediction.reshape(-1)[places]
    overlap = confusion_matrix(at_reference, at_prediction, number_of_classes)
    confusion = overlap.copy()
    intrusions = None
    if surfaces is not None:
        classes = np.where(inside, reference, reference.dtype.type(0))
        if settings.tree_labels:
            classes = as_classes(tree, number_of_classes, "tree")
            confusion = confusion_matrix(classes.reshape(-1)[places], at_prediction, number_of_classes)
        intrusions = find_intrusions(classes, prediction, surfaces, settings.connectivity, settings.min_size)
    confusion[0] = 0
    return TreeMetrics(
        confusion=confusion,
        dice_inside=dice_from_confusion(overlap),
        n_outside=int(overlap[0].sum()),
        intrusions=intrusions,
    )

"""Voxel overlap of two label maps."""

from __future__ import annotations

import numpy as np


def dice_per_label(
    reference: np.ndarray, prediction: np.ndarray, number_of_classes: int, valid: np.ndarray | None = None
) -> np.ndarray:
    """Dice of each foreground label, 2 |Y and Y^| / (|Y| + |Y^|) (paper, Eq. 1).

    Args:
        reference: Integer labels, any shape, 0 to ``number_of_classes`` - 1.
        prediction: The same shape.
        number_of_classes: Classes, background included.
        valid: Voxels that count; all if None.

    Returns:
        (class - 1,) float64; NaN where a label is in neither map, 0 where it is in one of them only.
    """
    if reference.shape != prediction.shape:
        raise ValueError(f"reference has shape {reference.shape}, prediction {prediction.shape}; expected the same")
    if valid is not None:
        reference, prediction = reference[valid], prediction[valid]
    pairs = reference.ravel().astype(np.int64) * number_of_classes + prediction.ravel()
    confusion = np.bincount(pairs, minlength=number_of_classes**2).reshape(number_of_classes, number_of_classes)
    both = confusion.diagonal()[1:].astype(np.float64)
    sizes = (confusion.sum(0) + confusion.sum(1))[1:].astype(np.float64)
    return np.divide(2 * both, sizes, out=np.full_like(sizes, np.nan), where=sizes > 0)

"""Voxel overlap of two label maps; everything follows from the confusion matrix, one pass over the voxels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impulse_nnunet.evaluation.kernels import joint_histogram

MOST_CLASSES = 65536  # what uint16 holds


def as_classes(labels: np.ndarray, number_of_classes: int, name: str) -> np.ndarray:
    """Check a map of classes and bring it into the form that the compiled loops take.

    Args:
        labels: Integers or booleans of any kind, any shape.
        number_of_classes: Background included.
        name: For the messages.

    Returns:
        The same, uint8 or uint16 and C-contiguous; not copied where it already is.

    Raises:
        TypeError: No integers.
        ValueError: A label out of range.
    """
    if labels.dtype.kind not in "bui":
        raise TypeError(f"{name} has voxels of type {labels.dtype}; expected integers")
    if not 1 <= number_of_classes <= MOST_CLASSES:
        raise ValueError(f"number of classes is {number_of_classes}; expected 1 to {MOST_CLASSES}")
    if labels.size and not 0 <= labels.min() <= labels.max() < number_of_classes:
        raise ValueError(
            f"{name} has labels from {labels.min()} to {labels.max()}; expected 0 to {number_of_classes - 1}"
        )
    return np.ascontiguousarray(labels, np.uint8 if number_of_classes <= 256 else np.uint16)


def confusion_matrix(
    reference: np.ndarray, prediction: np.ndarray, number_of_classes: int, valid: np.ndarray | None = None
) -> np.ndarray:
    """Count the voxels of each pair of classes.

    Args:
        reference: Integer labels, any shape, 0 to ``number_of_classes`` - 1.
        prediction: The same shape.
        number_of_classes: Classes, background included.
        valid: Voxels that count; all if None.

    Returns:
        (class of the reference, class of the prediction) int64.

    Raises:
        TypeError: No integers.
        ValueError: Another shape, or a label out of range.
    """
    if reference.shape != prediction.shape:
        raise ValueError(f"reference has shape {reference.shape}, prediction {prediction.shape}; expected the same")
    if valid is not None:
        reference, prediction = reference[valid], prediction[valid]
    truth = as_classes(reference, number_of_classes, "reference")
    found = as_classes(prediction, number_of_classes, "prediction")
    counts = np.zeros((number_of_classes, number_of_classes), np.int64)
    joint_histogram(truth.reshape(-1), found.reshape(-1), counts)
    return counts


def dice_from_confusion(confusion: np.ndarray) -> np.ndarray:
    """Dice of each foreground class, (class - 1,) float64; NaN where it is in neither map, 0 where in one only."""
    both = confusion.diagonal()[1:].astype(np.float64)
    sizes = (confusion.sum(0) + confusion.sum(1))[1:].astype(np.float64)
    return np.divide(2 * both, sizes, out=np.full_like(sizes, np.nan), where=sizes > 0)


def merge_classes(confusion: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray:
    """Confusion matrix after merging classes, e.g. segments into lobes; classes in no group become background.

    Args:
        confusion: (class, class).
        groups: The classes of each new class, from new class 1 on.

    Returns:
        (group + 1, group + 1).
    """
    new = np.zeros(len(confusion), np.int64)
    for number, classes in enumerate(groups, 1):
        new[list(classes)] = number
    merged = np.zeros((len(groups) + 1, len(groups) + 1), confusion.dtype)
    np.add.at(merged, (new[:, None], new[None, :]), confusion)
    return merged


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
    return dice_from_confusion(confusion_matrix(reference, prediction, number_of_classes, valid))

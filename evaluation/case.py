"""All metrics of one case: label maps in, numbers out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from impulse_nnunet.evaluation.anatomy import TreeMetrics, tree_metrics
from impulse_nnunet.evaluation.intrusions import SegmentSurfaces
from impulse_nnunet.evaluation.overlap import as_classes, confusion_matrix, dice_from_confusion, merge_classes
from impulse_nnunet.evaluation.settings import INTERSEG, MetricSettings
from impulse_nnunet.evaluation.surface import (
    assd_from_distances,
    foreground_bounds,
    hausdorff95_from_distances,
    nsd_from_distances,
    surface_distances,
)


@dataclass(frozen=True)
class CaseMetrics:
    """Numbers of one case.

    Args:
        per_label: Metric -> (class - 1,) values; counts are exact integers in float64.
        trees: Tree -> its numbers.
        lobes: Name -> Dice.
    """

    per_label: dict[str, np.ndarray]
    trees: dict[str, TreeMetrics]
    lobes: dict[str, float]


def evaluate_case(
    reference: np.ndarray,
    prediction: np.ndarray,
    number_of_classes: int,
    spacing_mm: Sequence[float],
    settings: MetricSettings | None = None,
    trees: Mapping[str, np.ndarray] | None = None,
    lobes: Mapping[str, Sequence[int]] | None = None,
    valid: np.ndarray | None = None,
) -> CaseMetrics:
    """Compute every metric that the settings ask for.

    Args:
        reference: (d, h, w) integer classes, 0 to ``number_of_classes`` - 1.
        prediction: The same shape.
        number_of_classes: Background included.
        spacing_mm: (d, h, w).
        settings: Default: :class:`MetricSettings`.
        trees: ``airway``, ``artery``, ``vein``, ``interseg`` -> (d, h, w) masks or classes.
        lobes: Name -> classes that are merged.
        valid: Voxels that count; elsewhere both maps are taken as background and no tree is seen.
    """
    settings = settings or MetricSettings()
    whole = dict(trees or {})
    _check_shapes({"reference": reference, "prediction": prediction, **whole})
    counted = reference.size
    if valid is not None:
        counted = int(np.count_nonzero(valid))
        reference, prediction = (labels * valid for labels in (reference, prediction))
        whole = {name: tree * valid for name, tree in whole.items()}
    lower, upper = foreground_bounds([reference, prediction, *(whole.values() if settings.tree_labels else ())])
    box = tuple(slice(int(a), int(b)) for a, b in zip(lower, upper, strict=True))
    reference = as_classes(reference[box], number_of_classes, "reference")
    prediction = as_classes(prediction[box], number_of_classes, "prediction")
    confusion = confusion_matrix(reference, prediction, number_of_classes)
    confusion[0, 0] += counted - confusion.sum()
    per_label = _overlap(confusion) | _surfaces(reference, prediction, number_of_classes, spacing_mm, settings)
    if settings.absent == "zero":
        for name in ("Dice", "IoU", *settings.nsd_names):
            per_label[name] = np.nan_to_num(per_label[name], nan=0.0)
    surfaces = SegmentSurfaces(prediction, spacing_mm, settings.intrusion_surface) if whole else None
    measured = {}
    for name, tree in whole.items():
        cropped = np.ascontiguousarray(tree[box])
        own = None if name == INTERSEG else surfaces
        found = tree_metrics(cropped, reference, prediction, number_of_classes, own, settings)
        beyond = int(np.count_nonzero(tree)) - int(np.count_nonzero(cropped))
        measured[name] = dataclasses.replace(found, n_outside=found.n_outside + beyond)
    merged = merge_classes(confusion, list((lobes or {}).values()))
    return CaseMetrics(per_label, measured, dict(zip(lobes or {}, dice_from_confusion(merged).tolist(), strict=True)))


def _check_shapes(maps: Mapping[str, np.ndarray]) -> None:
    shape = maps["reference"].shape
    if len(shape) != 3:
        raise ValueError(f"reference has shape {shape}; expected (d, h, w)")
    for name, labels in maps.items():
        if labels.shape != shape:
            raise ValueError(f"reference has shape {shape}, {name} {labels.shape}; expected the same")


def _overlap(confusion: np.ndarray) -> dict[str, np.ndarray]:
    true_positive = confusion.diagonal()[1:].astype(np.float64)
    false_positive = confusion.sum(0)[1:] - true_positive
    false_negative = confusion.sum(1)[1:] - true_positive
    union = true_positive + false_positive + false_negative
    return {
        "Dice": dice_from_confusion(confusion),
        "IoU": np.divide(true_positive, union, out=np.full_like(union, np.nan), where=union > 0),
        "TP": true_positive,
        "FP": false_positive,
        "FN": false_negative,
        "TN": confusion.sum() - union,
        "n_pred": true_positive + false_positive,
        "n_ref": true_positive + false_negative,
    }


def _surfaces(
    reference: np.ndarray,
    prediction: np.ndarray,
    number_of_classes: int,
    spacing_mm: Sequence[float],
    settings: MetricSettings,
) -> dict[str, np.ndarray]:
    far = settings.hd95 or settings.assd
    largest = np.inf if far else max(settings.tolerances_mm)
    pair = surface_distances(reference, prediction, spacing_mm, settings.surface, largest)
    result = dict(
        zip(settings.nsd_names, nsd_from_distances(pair, number_of_classes, settings.tolerances_mm), strict=True)
    )
    if settings.hd95:
        result["HD95_mm"] = hausdorff95_from_distances(pair, number_of_classes, settings.surface)
    if settings.assd:
        result["ASSD_mm"] = assd_from_distances(pair, number_of_classes)
    return result

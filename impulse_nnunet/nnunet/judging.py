"""What is looked at in every case that is predicted, by our command and by nnU-Net's: its images, then its labels.

Both functions only note: a case that is judged badly is predicted all the same, and carries its findings.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import Tensor

from impulse_nnunet.io.images import RawCase
from impulse_nnunet.io.upright import own_grid
from impulse_nnunet.nnunet.plausibility_checks import check_images, check_labels, check_pose
from impulse_nnunet.runtime.findings import Finding

logger = logging.getLogger(__name__)

CROPPED = "cropped"


@dataclass(frozen=True, kw_only=True)
class LabelledCase:
    """A case with its predicted labels.

    Args:
        case: Identifier.
        labels: (d, h, w) in the reader's frame, before cropping and transposing; on another grid where that was asked
            for.
        spacing_mm: (d, h, w) of the labels' grid.
        image: (channel, d, h, w) float32, cropped, transposed and normalised, at native resolution.
        properties: nnU-Net's, of the case: where the crop lies, for one.
        to_world: 4 x 4, (d, h, w) indices of the labels to LPS, on another grid than that of the files; None on the
            files' own (an oblique file: not that of ``image``, which is upright).
    """

    case: str
    labels: np.ndarray
    spacing_mm: tuple[float, float, float]
    image: Tensor
    properties: Mapping[str, Any]
    to_world: np.ndarray | None = None


def judge_image(
    predictor: nnUNetPredictor, case: str, raw: RawCase, agreements: dict[str, float] | None = None
) -> list[Finding]:
    """What the images of a case say, before anything is predicted.

    Args:
        predictor: With the plans, which hold what was learned from the training cases.
        case: Identifier.
        raw: As read, before normalisation.
        agreements: Receives how well the image's sides agree with the training cases', where that is known.
    """
    return check_images(predictor, raw) + check_pose(predictor, case, raw, {} if agreements is None else agreements)


def judge_labels(predictor: nnUNetPredictor, labelled: LabelledCase) -> list[Finding]:
    """What the predicted labels of a case say, before they are written."""
    found = check_labels(predictor, labelled.labels, labelled.properties, labelled.to_world)
    return found + _judge_crop(predictor, labelled)


def log_findings(case: str, found: Iterable[Finding]) -> None:
    """A warning in the log for each finding."""
    for finding in found:
        logger.warning("%s: %s", case, finding.text)


def spacing_of(spacing: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """(d, h, w) mm of nnU-Net's spacing."""
    d, h, w = (float(edge) for edge in spacing)
    return d, h, w


def _judge_crop(predictor: nnUNetPredictor, labelled: LabelledCase) -> list[Finding]:
    """Labels that end where preprocessing cropped the image; not of oblique files, whose axes are not the crop's."""
    if labelled.to_world is not None or own_grid(labelled.properties) is not None:
        return []
    labels = labelled.labels.transpose(predictor.plans_manager.transpose_forward)
    reached = 0
    for axis, (lower, upper) in enumerate(labelled.properties["bbox_used_for_cropping"]):
        layers = [lower] * (lower > 0) + [upper - 1] * (upper < labels.shape[axis])
        reached += sum(bool(labels.take(layer, axis).any()) for layer in layers)
    if not reached:
        return []
    text = f"labels reach {reached} face(s) of the box of nonzero voxels, to which images are cropped; they may be cut"
    return [Finding(CROPPED, text)]

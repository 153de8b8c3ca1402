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

from impulse_nnunet.inference.ensemble import settings_of
from impulse_nnunet.io.grid import reader_to_world
from impulse_nnunet.io.images import RawCase
from impulse_nnunet.laterality.asymmetry import asymmetry, decode
from impulse_nnunet.laterality.judgement import looks_mirrored, prediction_warning
from impulse_nnunet.preprocessing.survey import image_to_judge, mask_channels
from impulse_nnunet.runtime.findings import Finding

logger = logging.getLogger(__name__)

MIRRORED = "mirrored"


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
        own_grid: Whether the labels lie on the grid of the files (an oblique file: not that of ``image``, which is
            upright).
    """

    case: str
    labels: np.ndarray
    spacing_mm: tuple[float, float, float]
    image: Tensor
    properties: Mapping[str, Any]
    own_grid: bool = True


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
    return _judge_sides(predictor, case, raw, {} if agreements is None else agreements)


def judge_labels(predictor: nnUNetPredictor, labelled: LabelledCase) -> list[Finding]:
    """What the predicted labels of a case say, before they are written."""
    return []


def log_findings(case: str, found: Iterable[Finding]) -> None:
    """A warning in the log for each finding."""
    for finding in found:
        logger.warning("%s: %s", case, finding.text)


def spacing_of(spacing: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """(d, h, w) mm of nnU-Net's spacing."""
    d, h, w = (float(edge) for edge in spacing)
    return d, h, w


def _judge_sides(predictor: nnUNetPredictor, case: str, raw: RawCase, agreements: dict[str, float]) -> list[Finding]:
    """Whether the image looks mirrored, where the plans know the training cases' asymmetry."""
    learned, to_world = settings_of(predictor).laterality.asymmetry, reader_to_world(raw.properties)
    if not learned or to_world is None:
        return []
    found = asymmetry(image_to_judge(raw.images, mask_channels(predictor.dataset_json)), to_world)
    agreements[case] = 0.0 if found is None else float(found @ decode(learned))
    if not looks_mirrored(agreements[case]):
        return []
    return [Finding(MIRRORED, prediction_warning(case, agreements[case]).removeprefix(f"{case}: "))]

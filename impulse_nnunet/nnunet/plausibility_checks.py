"""The plausibility of a case at prediction: its images, how the patient lies, its labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

import numpy as np
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from impulse_nnunet.inference.ensemble import settings_of
from impulse_nnunet.io.grid import reader_to_world
from impulse_nnunet.io.images import RawCase
from impulse_nnunet.io.label_maps import count_values
from impulse_nnunet.io.upright import own_grid
from impulse_nnunet.laterality.asymmetry import asymmetry_of, decode, patient_cells
from impulse_nnunet.laterality.judgement import looks_mirrored, prediction_warning
from impulse_nnunet.laterality.pose import KINDS, gains, pose_cells, pose_of, pose_text, turn, turned_over
from impulse_nnunet.plausibility.facts import facts_of_images, world_or_spacing
from impulse_nnunet.plausibility.judgement import NOT_LEARNED, judge_images, judge_prediction
from impulse_nnunet.plausibility.labels import label_facts
from impulse_nnunet.plausibility.sample import SAMPLE, ImageSample, covers, step_of
from impulse_nnunet.preprocessing.survey import (
    channel_words,
    channels_of,
    image_to_judge,
    label_names,
    mask_channels,
)
from impulse_nnunet.runtime.findings import Finding
from impulse_nnunet.settings import LateralitySettings

logger = logging.getLogger(__name__)
_told: WeakSet[nnUNetPredictor] = WeakSet()  # that their plans hold nothing to compare with

MIRRORED = "mirrored"


def check_images(predictor: nnUNetPredictor, raw: RawCase) -> list[Finding]:
    """Values, masks and field of view; leaves a sample of the image in its properties, for the labels' check."""
    learned = settings_of(predictor).plausibility
    if learned.is_empty:
        if predictor not in _told:
            _told.add(predictor)
            logger.warning("%s", NOT_LEARNED)
        return []
    to_world = world_or_spacing(reader_to_world(raw.properties), raw.properties["spacing"])
    facts, sample = facts_of_images(raw.images, to_world, channels_of(predictor.dataset_json))
    raw.properties[SAMPLE] = sample
    return judge_images(learned, facts, channel_words(predictor.dataset_json))


def check_pose(predictor: nnUNetPredictor, case: str, raw: RawCase, agreements: dict[str, float]) -> list[Finding]:
    """Head and feet, front and back, left and right, as far as the training images tell them.

    Args:
        predictor: With the plans.
        case: Identifier.
        raw: As read.
        agreements: Receives how well the image's sides agree with the training cases'.
    """
    learned, to_world = settings_of(predictor).laterality, reader_to_world(raw.properties)
    if to_world is None or not (learned.asymmetry or learned.pose):
        return []
    image = image_to_judge(raw.images, mask_channels(predictor.dataset_json))
    found, axes = _turned(learned, image, to_world)
    if learned.asymmetry:
        sides = asymmetry_of(turn(patient_cells(image, to_world), axes))
        agreements[case] = 0.0 if sides is None else float(sides @ decode(learned.asymmetry))
        if looks_mirrored(agreements[case]):
            found.append(Finding(MIRRORED, prediction_warning(case, agreements[case]).removeprefix(f"{case}: ")))
    return found


def check_labels(
    predictor: nnUNetPredictor,
    labels: np.ndarray,
    properties: Mapping[str, Any],
    to_world: np.ndarray | None = None,
) -> list[Finding]:
    """Volumes and places of predicted labels, the tissue they lie on, and whether the field of view cuts them.

    Args:
        predictor: With the plans.
        labels: (d, h, w) on the image's own grid, or on another one.
        properties: Of the case, with the sample that :func:`check_images` left there; without it nothing is checked.
        to_world: 4 x 4, indices of the other grid to LPS; nothing is checked on a grid that does not cover the image.
    """
    learned, sample = settings_of(predictor).plausibility, properties.get(SAMPLE)
    if learned.is_empty or not isinstance(sample, ImageSample):
        return []
    own = own_grid(properties)
    place = to_world
    if place is None:
        known = reader_to_world(properties) if own is None else own[0].to_world
        place = world_or_spacing(known, properties["spacing"])
    elif not covers(labels.shape, place, sample):
        return []
    counts, step = count_values(labels), step_of(labels.shape)
    facts = label_facts(labels, counts, place, sample, faces=to_world is None, step=step)
    return judge_prediction(learned, facts, label_names(predictor.dataset_json))


def _turned(
    learned: LateralitySettings, image: np.ndarray, to_world: np.ndarray
) -> tuple[list[Finding], tuple[str, ...]]:
    """Findings on axes that are turned over, and these axes."""
    pose = pose_of(pose_cells(image, to_world)) if learned.pose else None
    if pose is None:
        return [], ()
    mean = decode(learned.pose)
    axes = turned_over(pose, mean, learned.pose_axes)
    gain = gains(pose, mean, learned.pose_axes).get(axes, 0.0)
    return [Finding(KINDS[axis], pose_text((axis,), gain)) for axis in axes], axes

"""The training cases compared with each other when they are planned: masks, values, labels, how patients lie."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.laterality.pose import KINDS, odd_poses
from impulse_nnunet.plausibility.facts import CaseFacts
from impulse_nnunet.plausibility.findings import named
from impulse_nnunet.plausibility.judgement import training_warnings
from impulse_nnunet.plausibility.masks import odd_masks
from impulse_nnunet.preprocessing.survey import (
    CaseSurvey,
    channel_words,
    facts_of,
    foreground_labels,
    label_names,
    poses_of,
)

logger = logging.getLogger(__name__)


def compare_training_cases(survey: Mapping[str, CaseSurvey], dataset_json: Mapping[str, Any]) -> None:
    """Warn of training cases that differ from the others.

    Raises:
        CasesFailedError: A mask channel holds an image, or is stored with other values than those of most cases.
    """
    facts, titles = facts_of(survey), channel_words(dataset_json)
    _refuse_odd_masks(facts, titles)
    lines = training_warnings(facts, foreground_labels(dataset_json), titles, label_names(dataset_json))
    odd = odd_poses(poses_of(survey))
    for axis, kind in KINDS.items():
        turned = [case for case, axes in odd.items() if axis in axes]
        if turned:
            words = kind.replace("_", " ")
            lines.append(f"{len(turned)} of {len(survey)} training images look {words}: {named(turned)}; check them")
    for line in lines:
        logger.warning("%s", line)


def _refuse_odd_masks(facts: Mapping[str, CaseFacts], titles: Mapping[int, str]) -> None:
    failures: dict[str, str] = {}
    for odd in odd_masks({case: found.masks for case, found in facts.items()}, titles):
        low, high = odd.values
        error = InputError(
            odd.case,
            f"values {low:g} to {high:g} in mask channel {odd.title}",
            f"0 to {odd.usual:g} as in most cases" if low >= 0 else "a mask",
            "store the masks of all cases alike",
        )
        failures.setdefault(odd.case, str(error))
    if failures:
        raise CasesFailedError(failures, len(facts))

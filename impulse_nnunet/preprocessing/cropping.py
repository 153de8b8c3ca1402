"""Cropping images to their content with a margin, where labels go on beyond it.

nnU-Net crops every image to the box of its nonzero voxels. Where all channels are masks that is the masks' box, and
labels (a segment reaches the pleura, its bronchus does not) end at its faces. The planner sees how far the training
cases' labels exceed that box; plans that have margins (``reading.crop_margins_mm``) crop with them, in planning,
preprocessing and prediction alike; other plans crop as nnU-Net does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from nnunetv2.preprocessing.cropping.cropping import create_nonzero_mask
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from impulse_nnunet.errors import InputError
from impulse_nnunet.geometry.boxes import bounding_box
from impulse_nnunet.settings import settings_from_configuration

SMALLEST_MM = 10.0
TIMES = 2.0  # of what the training cases need: other patients need more
NO_RESAMPLING = "no_resampling_hack"


def planned_margins(excess_mm: Sequence[np.ndarray]) -> tuple[float, ...]:
    """Margins (6) for all cases; empty where nnU-Net's crop holds the labels of every training case.

    Args:
        excess_mm: Of each case, how far its labels exceed the nonzero box below and above along (d, h, w): (6,).
    """
    largest = np.max(np.stack(list(excess_mm)), axis=0)
    if not np.any(largest > 0):
        return ()
    return tuple(float(mm) for mm in np.maximum(SMALLEST_MM, np.ceil(TIMES * largest)))


def margin_box(
    images: np.ndarray, spacing_mm: Sequence[float], margins_mm: Sequence[float] | np.ndarray
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """First and last (excluded) voxels (d, h, w) of the nonzero box with margins, within the image.

    Args:
        images: (channel, d, h, w).
        spacing_mm: (d, h, w).
        margins_mm: (6,) below and above along (d, h, w).

    Raises:
        InputError: The image is zero everywhere.
    """
    found = bounding_box(np.any(images != 0, axis=0))
    if found is None:
        raise InputError("image", "an image that is zero everywhere", "an image with content", "leave the case out")
    voxels = np.ceil(np.reshape(margins_mm, (3, 2)) / np.reshape(spacing_mm, (3, 1))).astype(int)
    lower = np.maximum(found[0] - voxels[:, 0], 0)
    upper = np.minimum(found[1] + voxels[:, 1], images.shape[1:])
    d, h, w = ((int(first), int(last)) for first, last in zip(lower, upper, strict=True))
    return d, h, w


class MarginPreprocessor(DefaultPreprocessor):
    """nnU-Net's preprocessing of one case, cropped with the plans' margins where they have any."""

    def run_case_npy(
        self,
        data: np.ndarray,
        seg: np.ndarray | None,
        properties: dict,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        dataset_json: dict | str,
    ) -> tuple[np.ndarray, np.ndarray, dict]:
        """Overrides nnU-Net's: with margins the image is cropped to them; -1 in the labels is outside the content."""
        margins = settings_from_configuration(configuration_manager.configuration).reading.crop_margins_mm
        if not margins:
            return super().run_case_npy(data, seg, properties, plans_manager, configuration_manager, dataset_json)
        _check_resampling(configuration_manager)
        forward = list(plans_manager.transpose_forward)
        turned = data.astype(np.float32).transpose([0, *(axis + 1 for axis in forward)])
        spacing = [properties["spacing"][axis] for axis in forward]
        box = margin_box(turned, spacing, np.reshape(margins, (3, 2))[forward].ravel())
        part = (slice(None), *(slice(*ends) for ends in box))
        properties["shape_before_cropping"] = turned.shape[1:]
        properties["bbox_used_for_cropping"] = [list(ends) for ends in box]
        images = np.ascontiguousarray(turned[part])
        properties["shape_after_cropping_and_before_resampling"] = images.shape[1:]
        outside = ~create_nonzero_mask(images)[None]
        if seg is None:
            labels = np.where(outside, np.int8(-1), np.int8(0))
        else:
            labels = seg.transpose([0, *(axis + 1 for axis in forward)])[part].copy()
            labels[(labels == 0) & outside] = -1
        intensities = plans_manager.foreground_intensity_properties_per_channel
        images = self._normalize(images, labels, configuration_manager, intensities)
        return images, labels.astype(np.int16 if labels.max() > 127 else np.int8), properties


def _check_resampling(configuration_manager: ConfigurationManager) -> None:
    """Our plans never resample; those of a user who wants it cannot have margins."""
    content: dict[str, Any] = configuration_manager.configuration
    named = content.get("resampling_fn_data")
    if named != NO_RESAMPLING:
        raise InputError(
            "plans, resampling_fn_data", repr(named), NO_RESAMPLING, "plan again, or empty reading.crop_margins_mm"
        )

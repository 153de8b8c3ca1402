"""All facts of one case that the checks go by; images as their reader gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from impulse_nnunet.plausibility.ct_values import ValueShares, value_shares
from impulse_nnunet.plausibility.labels import LabelFacts
from impulse_nnunet.plausibility.masks import MaskFacts, mask_facts
from impulse_nnunet.plausibility.sample import ImageSample, step_of, thinned


@dataclass(frozen=True, kw_only=True)
class Channels:
    """Which channels are what.

    Args:
        ct: Channels that nnU-Net normalises as CT.
        masks: Mask channels.
        number: Of all channels.
    """

    ct: tuple[int, ...]
    masks: tuple[int, ...]
    number: int

    @property
    def image(self) -> int | None:
        """The channel that labels are compared with; None where all are masks."""
        return next((channel for channel in range(self.number) if channel not in self.masks), None)


@dataclass(frozen=True, kw_only=True)
class CaseFacts:
    """Of one case.

    Args:
        values: CT channel -> how often its values occur.
        masks: Of the mask channels.
        extent_mm: (3,) of the image along x, y, z of LPS.
        labels: If it has any.
    """

    values: dict[int, ValueShares]
    masks: tuple[MaskFacts, ...]
    extent_mm: np.ndarray
    labels: LabelFacts | None = None


def facts_of_images(images: np.ndarray, to_world: np.ndarray, channels: Channels) -> tuple[CaseFacts, ImageSample]:
    """Facts of a case's images.

    Args:
        images: (channel, d, h, w).
        to_world: 4 x 4, (d, h, w) indices to LPS, mm.
        channels: Which are what.

    Returns:
        The facts, and a sample of the image that labels lie on: HU for CT, units of its spread for other images, the
        sum of the masks where there is no image.
    """
    step = step_of(images.shape[1:])
    thin = images[:, ::step, ::step, ::step]
    scaled = None if channels.image is None else _in_spreads(thin[channels.image])
    judged = thin[list(channels.masks)].sum(0) if scaled is None else scaled
    if channels.image is not None and channels.image in channels.ct:
        judged = thin[channels.image]
    facts = CaseFacts(
        values={channel: value_shares(thin[channel]) for channel in channels.ct},
        masks=mask_facts(images, channels.masks, to_world, scaled, step),
        extent_mm=np.abs(to_world[:3, :3]) @ np.asarray(images.shape[1:], np.float64),
    )
    return facts, ImageSample(np.ascontiguousarray(judged, np.float32), thinned(to_world, step))


def world_or_spacing(to_world: np.ndarray | None, spacing_mm: Sequence[float]) -> np.ndarray:
    """4 x 4, (d, h, w) indices to mm: those of the file, or the axes as z, y, x where it has no place in the world."""
    if to_world is not None:
        return to_world
    return np.diag([*spacing_mm, 1.0])[[2, 1, 0, 3]]


def _in_spreads(image: np.ndarray) -> np.ndarray:
    values = np.asarray(image, np.float32)
    return (values - values.mean()) / max(float(values.std()), 1e-6)

"""The frame of oblique images: as much air around the body as the training images have.

The upright grid of an oblique image covers all of it, so the body is small in it. A network that sees whole images has
learned the frame of its training images; the planner notes it, and oblique images are cut or padded to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from impulse_nnunet.geometry.boxes import bounding_box
from impulse_nnunet.io.images import RawCase
from impulse_nnunet.io.upright import OWN, moved_properties

BINS = 256
SMALLEST_SHARE = 2e-3  # of the voxels of a slice that must be content, or it is a speck, a tube, noise
USUAL = (0.05,) * 6  # margins where the plans know none

Box = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Frame:
    """A part of an array (d, h, w), which may reach beyond it.

    Args:
        lower: First voxels, may be negative.
        upper: Behind the last ones.
    """

    lower: np.ndarray
    upper: np.ndarray

    def cut(self, array: np.ndarray, fill: Any) -> np.ndarray:
        """The part of (d, h, w), ``fill`` beyond it."""
        shape = np.array(array.shape)
        result = np.full(tuple(self.upper - self.lower), fill, array.dtype)
        first, last = np.clip(self.lower, 0, shape), np.clip(self.upper, 0, shape)
        target = tuple(slice(*ends) for ends in zip(first - self.lower, last - self.lower, strict=True))
        result[target] = array[tuple(slice(*ends) for ends in zip(first, last, strict=True))]
        return result

    def case(self, raw: RawCase) -> RawCase:
        """The part of a case."""
        images = np.stack([self.cut(channel, channel.min()) for channel in raw.images])
        labels = None if raw.segmentation is None else self.cut(raw.segmentation[0], 0)[None]
        return replace(raw, images=images, segmentation=labels, properties=moved_properties(raw.properties, self.lower))


def content_box(images: np.ndarray, masks: Sequence[int]) -> Box | None:
    """Voxels (lower, upper) of the body: brighter than Otsu's threshold in the first channel that is not a mask.

    Args:
        images: (channel, d, h, w).
        masks: Channels that are masks; where all are, content is what any of them holds.
    """
    first = next((channel for channel in range(len(images)) if channel not in masks), None)
    if first is None:
        return bounding_box(np.any(images > 0, axis=0))
    body = (images[first] > otsu_threshold(images[first])) & (images[first] != 0)  # zeros: padding, as nnU-Net has it
    lower, upper = [], []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        filled = np.flatnonzero(body.mean(axis=others) > SMALLEST_SHARE)
        if not len(filled):
            return None
        lower.append(filled[0])
        upper.append(filled[-1] + 1)
    return np.array(lower), np.array(upper)


def otsu_threshold(values: np.ndarray) -> float:
    """The value that parts a histogram into two classes with the largest variance between them (Otsu 1979, eq. 18)."""
    low, high = np.percentile(values[::2, ::2, ::2], [0.1, 99.9])
    if low >= high:
        return float(low)
    edges = np.linspace(low, high, BINS + 1)
    counts = np.sum([np.histogram(np.clip(part, low, high), BINS, (low, high))[0] for part in values], axis=0)
    share = np.cumsum(counts) / counts.sum()
    moment = np.cumsum(counts * (edges[:-1] + edges[1:]) / 2) / counts.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (moment[-1] * share - moment) ** 2 / (share * (1 - share))
    return float(edges[1:][np.argmax(np.nan_to_num(between[:-1]))])


def margins_of(images: np.ndarray, masks: Sequence[int]) -> tuple[float, ...] | None:
    """Shares of the image's edges (d, h, w), cropped to nonzero values, below and above the content: 6 numbers."""
    image = bounding_box(np.any(images != 0, axis=0))
    if image is None:
        return None
    edges = image[1] - image[0]
    (d, h, w), (d_end, h_end, w_end) = image
    content = content_box(images[:, d:d_end, h:h_end, w:w_end], masks)
    if content is None:
        return None
    below, above = content[0] / edges, (edges - content[1]) / edges
    return tuple(float(max(0, side)) for pair in zip(below, above, strict=True) for side in pair)


def frame_of(raw: RawCase, masks: Sequence[int], margins: Sequence[float]) -> Frame | None:
    """The frame of an oblique case, or None where it is upright as it is stored, or without content.

    Args:
        raw: The case as read.
        masks: Channels that are masks.
        margins: Margins of the training images, as :func:`margins_of` has them; empty: 5 % at each side.
    """
    box = content_box(raw.images, masks) if OWN in raw.properties else None
    if box is None:
        return None
    pairs = np.reshape(margins or USUAL, (3, 2))
    edges = (box[1] - box[0]) / (1 - pairs.sum(1))
    lower = np.floor(box[0] - pairs[:, 0] * edges + 0.5).astype(int)
    upper = np.floor(box[1] + pairs[:, 1] * edges + 0.5).astype(int)
    return Frame(lower, np.maximum(upper, lower + 2))


def framed(raw: RawCase, masks: Sequence[int], margins: Sequence[float]) -> RawCase:
    """A case in its frame."""
    frame = frame_of(raw, masks, margins)
    return raw if frame is None else frame.case(raw)

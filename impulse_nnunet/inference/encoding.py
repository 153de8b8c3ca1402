"""Encoding a case: the whole image, and where the plans say so the region of interest that the first pass finds."""

from __future__ import annotations

import logging

import numpy as np
from scipy import ndimage
from torch import Tensor

from impulse_nnunet.decoding import EncodedBox, OutputGrid, decode_labels
from impulse_nnunet.geometry.boxes import Box, bounding_box, faces_from_indices, region_box
from impulse_nnunet.inference.ensemble import Ensemble
from impulse_nnunet.inference.region import RegionEncoder, coarse_grid
from impulse_nnunet.inference.upload import uploaded, working_volume_on
from impulse_nnunet.runtime.findings import Finding
from impulse_nnunet.settings import ImPulSeSettings

SMALLEST_COMPONENT = 0.02  # of the foreground that the first pass finds; smaller ones do not widen the box
NO_REGION = Finding("no_region", "the first pass found no foreground; the whole image is used")

logger = logging.getLogger(__name__)


def encode_image(ensemble: Ensemble, image: Tensor, settings: ImPulSeSettings, case: str = "image") -> EncodedBox:
    """Encode a native image (channel, d, h, w), normalised; see :func:`encode_working_volume`."""
    volume = working_volume_on(ensemble.device, image, settings.grid.working_grid)
    return encode_working_volume(ensemble, volume, settings, case)


def encode_working_volume(
    ensemble: Ensemble, volume: Tensor, settings: ImPulSeSettings, case: str = "image"
) -> EncodedBox:
    """Encode a working volume; in ``two_pass``, the box of the foreground, which a first pass over the whole finds.

    Nothing but the image is used. Where the first pass finds no foreground the whole image is encoded, and where its
    box would cut labels a larger one (:mod:`impulse_nnunet.inference.region`), with a finding.
    """
    volume = uploaded(volume, ensemble.device)
    if settings.region.mode == "whole":
        return ensemble.encode(volume, Box.whole(), settings.grid.input_grid, case)
    if settings.search_grid is None:
        first = ensemble.encode(volume, Box.whole(), settings.grid.input_grid, case)
        grid = coarse_grid(settings.grid.input_grid)
    else:
        first = ensemble.search(volume, settings.search_grid, case)
        grid = OutputGrid.native(settings.search_grid)
    faces = foreground_faces(decode_labels(first, grid, settings.inference.block_points) > 0)
    del first
    if faces is None:
        encoded = ensemble.encode(volume, Box.whole(), settings.grid.input_grid, case)
        encoded.findings = (NO_REGION,)
        logger.warning("%s: %s", case, NO_REGION.text)
        return encoded
    region = RegionEncoder(ensemble=ensemble, volume=volume, settings=settings, case=case)
    return region.encode(region_box(faces, settings.region.margin))


def foreground_faces(mask: np.ndarray) -> np.ndarray | None:
    """Faces (2, 3) of the box around a mask, specks left out, in positions of the mask's grid; None if it is empty."""
    components, number = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if number == 0:
        return None
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    large = np.flatnonzero(sizes >= SMALLEST_COMPONENT * sizes.sum())
    box = bounding_box(np.isin(components, large))
    return None if box is None else np.stack(faces_from_indices(*box, mask.shape))

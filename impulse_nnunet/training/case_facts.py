"""What training needs of a case besides its volumes: foreground's box, voxels inside masks, annotated voxels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from impulse_nnunet.geometry.boxes import Box, bounding_box, faces_from_indices

FACTS_KEY = "impulse"
LARGEST_VOXEL_LIST = 100_000


def case_facts(
    images: np.ndarray,
    segmentation: np.ndarray,
    mask_channels: Sequence[int],
    ignore_label: int | None,
    trees: np.ndarray | None = None,
) -> dict[str, Any]:
    """Collect the facts of a case on its native grid.

    Args:
        images: (channel, d, h, w) native, normalised; mask channels are unnormalised.
        segmentation: (1, d, h, w) native; -1 outside the nonzero region.
        mask_channels: Channels that are masks.
        ignore_label: Label of unannotated voxels.
        trees: (d, h, w) bool, further voxels to sample like those of the mask channels.

    Returns:
        ``foreground_faces`` (2, 3): lower and upper faces of the foreground's box in image positions;
        ``mask_voxels`` (annotated ones) and ``annotated_voxels``: (n, 3) int16 indices, at most 100 000 chosen at
        random, or None.
    """
    labels = segmentation[0]
    known = np.ones(labels.shape, bool) if ignore_label is None else labels != ignore_label
    box = bounding_box((labels > 0) & known)
    faces = Box.whole().faces if box is None else faces_from_indices(*box, labels.shape)
    masks = np.any(images[list(mask_channels)] > 0.5, axis=0) if len(mask_channels) else None
    if trees is not None:
        masks = trees if masks is None else masks | trees
    annotated = None if ignore_label is None else _choose(known)
    mask_voxels = None if masks is None else _choose(masks & known)
    return {"foreground_faces": np.stack(faces), "mask_voxels": mask_voxels, "annotated_voxels": annotated}


def _choose(mask: np.ndarray) -> np.ndarray:
    flat = np.flatnonzero(mask)
    if len(flat) > LARGEST_VOXEL_LIST:
        flat = np.random.default_rng(0).choice(flat, LARGEST_VOXEL_LIST, replace=False)
    return np.stack(np.unravel_index(flat, mask.shape), axis=-1).astype(np.int16)

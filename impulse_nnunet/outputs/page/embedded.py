"""Meshes and volumes of a case as chunks of a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from impulse_nnunet.outputs.page.case import LESION, PageCase
from impulse_nnunet.outputs.page.grey import HU, Grey
from impulse_nnunet.outputs.page.meshes import mask_mesh, segment_meshes
from impulse_nnunet.outputs.page.packing import Chunks, PositionGrid, differences, mesh_bytes
from impulse_nnunet.outputs.surfaces import LabelSurface

LARGEST_IMAGE = 18_000_000  # voxels of grey values: memory and seconds of a browser
LARGEST_LABELS = 60_000_000
FEWEST = 1000  # voxels of grey values that are not made fewer
WIDER = 1.2  # step from one edge of blocks to the next, mm


def embed_meshes(case: PageCase, structures: Sequence[dict[str, Any]], chunks: Chunks) -> dict[str, Any]:
    """Embed the meshes of structures; returns the grid of their points and the box around them."""
    surfaces: dict[str, LabelSurface] = {
        str(label): surface for label, surface in segment_meshes(case.labels, case.frame.grid, case.present).items()
    }
    for name, mask in case.masks.items():
        surface = mask_mesh(mask, case.frame.grid)
        if surface is not None:
            surfaces[name] = surface
    lower = np.min([surface.points.min(axis=0) for surface in surfaces.values()], axis=0)
    upper = np.max([surface.points.max(axis=0) for surface in surfaces.values()], axis=0)
    grid = PositionGrid.around(lower, upper)
    for one in structures:
        if one["id"] in surfaces:
            one["mesh"] = _embedded(surfaces[one["id"]], grid, chunks)
    return {"lower": lower.tolist(), "upper": upper.tolist(), "step": grid.step}


def _embedded(surface: LabelSurface, grid: PositionGrid, chunks: Chunks) -> dict[str, Any]:
    return {
        "chunk": chunks.add(mesh_bytes(surface.points, surface.triangles, grid)),
        "points": len(surface.points),
        "triangles": len(surface.triangles),
        "centre": ((surface.points.min(axis=0) + surface.points.max(axis=0)) / 2).tolist(),
    }


def embed_labels(case: PageCase, chunks: Chunks) -> dict[str, Any]:
    """Embed the labels as numbers of structures from 1 on, by every n-th voxel where they are too many."""
    block = _block(case, LARGEST_LABELS)
    ids = [str(label) for label in case.present]
    table = np.zeros(int(case.labels.max()) + 1, np.uint8 if len(ids) < 256 else np.uint16)
    table[case.present] = np.arange(1, len(ids) + 1)
    places = [np.arange(n // 2, length, n) for n, length in zip(block, case.labels.shape, strict=True)]
    labels = table[case.labels[np.ix_(*places)]]
    return _volume(case, labels, block, [n // 2 for n in block], chunks) | {"ids": [None, *ids]}


def embed_masks(case: PageCase, named: Sequence[str], chunks: Chunks) -> dict[str, Any]:
    """Embed trees and lesion as numbers from 1 on: the lesion lies over the trees, the first tree over the others."""
    block = _block(case, LARGEST_LABELS)
    masks = np.zeros(case.labels.shape, np.uint8)
    ascending = sorted(named, key=lambda name: (name == LESION, -named.index(name)))
    for number, name in enumerate(ascending, 1):
        masks[case.masks[name]] = number
    for axis, n in enumerate(block):
        if n > 1:  # the largest of a block: thin branches stay whole
            masks = np.maximum.reduceat(masks, np.arange(0, masks.shape[axis], n), axis=axis)
    return _volume(case, masks, block, [(n - 1) / 2 for n in block], chunks) | {"ids": [None, *ascending]}


def embed_grey(case: PageCase, grey: Grey, chunks: Chunks, largest: int) -> tuple[dict[str, Any], list[str]]:
    """Embed grey values on the finest grid with which all chunks have at most ``largest`` characters.

    Returns:
        What the page must know of them, and a note if the grid is not the image's own.
    """
    limit = LARGEST_IMAGE
    while True:
        block = _block(case, limit)
        codes = grey.coded(block)
        trial = Chunks()
        trial.add(differences(codes))
        if chunks.size + trial.size <= largest or limit < FEWEST:
            break
        share = max(0.05, (largest - chunks.size) / trial.size)
        limit = int(min(limit, codes.size) * min(0.9, 0.95 * share))
    about = _about(case, codes.shape, block, [(n - 1) / 2 for n in block])
    about |= {"chunk": len(chunks.texts), "bytes": 1, "differences": True}
    about |= {"values": grey.levels().round(4).tolist(), "unit": HU if grey.is_hu else ""}
    chunks.texts += trial.texts
    if max(block) == 1:
        return about, []
    size = " x ".join(f"{step:.1f}" for step in about["step"])
    return about, [f"Grey values are means over {size} mm; outlines and volumes are the label map's."]


def _volume(
    case: PageCase, values: np.ndarray, block: Sequence[int], first: Sequence[float], chunks: Chunks
) -> dict[str, Any]:
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    about = {"chunk": chunks.add(little.tobytes()), "bytes": values.dtype.itemsize}
    return _about(case, values.shape, block, first) | about


def _about(case: PageCase, shape: Sequence[int], block: Sequence[int], first: Sequence[float]) -> dict[str, Any]:
    """Shape, step and first voxel of a volume along x, y, z of the frame."""
    spacing = case.frame.grid.spacing_mm
    step = spacing * block[::-1]
    return {"shape": list(shape[::-1]), "step": step.tolist(), "first": (spacing * first[::-1]).tolist()}


def _block(case: PageCase, largest: int) -> tuple[int, int, int]:
    """Voxels of a block (z, y, x), as nearly cubic as the grid allows, that leave at most ``largest`` of them."""
    spacing = case.frame.grid.spacing_mm[::-1]
    edge_mm = float(spacing.min())
    while True:
        z, y, x = (max(1, round(edge_mm / step)) for step in spacing.tolist())
        counts = [-(-length // n) for length, n in zip(case.labels.shape, (z, y, x), strict=True)]
        if int(np.prod(counts)) <= largest:
            return z, y, x
        edge_mm *= WIDER

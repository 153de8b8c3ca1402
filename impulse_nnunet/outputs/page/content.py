"""The data of a page: structures, meshes, volumes, as ``viewer/src`` reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from impulse_nnunet.outputs.colours import to_hex
from impulse_nnunet.outputs.page.case import LESION, TREE_WORDS, PageCase
from impulse_nnunet.outputs.page.grey import HU
from impulse_nnunet.outputs.page.meshes import mask_mesh, segment_meshes
from impulse_nnunet.outputs.page.packing import Chunks, PositionGrid, differences, mesh_bytes
from impulse_nnunet.outputs.surfaces import Surface

TREE_COLOURS = {
    "airway": "#DCD3BC", "bronchus": "#DCD3BC", "artery": "#4A7DE8", "vein": "#E0483E", "interseg": "#B06FD8",
}  # fmt: skip
OTHER_TREES = ("#8FD3E8", "#C8A2F0", "#F0A58C", "#A8B4C0")
LESION_COLOUR = "#FF4FD0"
LESION_WORDS = re.compile(r"lesion|tumou?r|nodule|cyst|metasta", re.IGNORECASE)
GHOST = 0.35  # opacity of segments where something lies inside them
LARGEST_IMAGE = 18_000_000  # voxels of grey values: memory and seconds of a browser
LARGEST_LABELS = 60_000_000
WIDER = 1.2  # step from one edge of blocks to the next, mm


@dataclass(frozen=True)
class PageContent:
    """What goes into a page.

    Args:
        about: JSON.
        chunks: What ``about`` refers to.
    """

    about: dict[str, Any]
    chunks: Chunks


def page_content(case: PageCase, title: str, made: str, largest: int) -> PageContent:
    """Everything that a page shows.

    Args:
        case: The case.
        title: Of the page.
        made: By what and when.
        largest: Characters of the data; grey values become coarser until they fit.
    """
    chunks = Chunks()
    structures = list(_structures(case))
    grid = _place_meshes(case, structures, chunks)
    volumes = _label_volumes(case, structures, chunks)
    volumes["image"], coarse = _image(case, chunks, largest)
    has_inside = any(one["kind"] != "segment" for one in structures)
    about = {
        "title": title,
        "made": made,
        "facts": _facts(case),
        "notes": case.notes + coarse,
        "labels": {str(label): case.names.name(label) for label in case.present},
        "volumes_ml": {str(key): round(count * case.voxel_ml, 6) for key, count in case.voxels.items()},
        "spacing_mm": list(case.spacing_mm),
        "structures": structures,
        "groups": _groups(case, structures),
        "ghost": GHOST if has_inside else 1,
        "windows": case.grey.windows() if case.grey else [],
        "frame": case.frame.content(),
        "volumes": volumes,
        "grid": grid,
        "middle": _middle(structures),
        "start": _start(case, structures),
    }
    return PageContent(about, chunks)


def _structures(case: PageCase) -> Iterator[dict[str, Any]]:
    style = case.names.style(case.present)
    boxes = ndimage.find_objects(case.labels)
    kinds = {label: _kind(case.names.name(label)) for label in case.present}
    for label in case.present:
        yield {
            "id": str(label),
            "kind": kinds[label],
            "name": case.names.name(label),
            "colour": to_hex(style.colour(label)),
            "outline": to_hex(style.outline(label, on_dark=True)),
            "volume_ml": case.voxels[label] * case.voxel_ml,
            "inside": _inside(case, case.labels[boxes[label - 1]] == label, boxes[label - 1]),
        }
    for number, (name, mask) in enumerate(case.masks.items()):
        if not case.voxels[name]:
            continue
        box = ndimage.find_objects(mask.view(np.uint8))[0]
        colour = LESION_COLOUR if name == LESION else TREE_COLOURS.get(name, OTHER_TREES[number % len(OTHER_TREES)])
        yield {
            "id": name,
            "kind": LESION if name == LESION else "tree",
            "name": name,
            "colour": colour,
            "outline": colour,
            "volume_ml": case.voxels[name] * case.voxel_ml,
            "inside": _inside(case, mask[box], box),
        }


def _kind(name: str) -> str:
    if LESION_WORDS.search(name):
        return LESION
    return "tree" if TREE_WORDS.search(name) else "segment"


def _inside(case: PageCase, mask: np.ndarray, box: tuple[slice, ...]) -> list[float]:
    """World position of the voxel of a mask that is nearest to its centre."""
    step = max(1, round((mask.size / 2e6) ** (1 / 3)))
    found = np.argwhere(mask[::step, ::step, ::step]) * step
    if not len(found):
        found = np.argwhere(mask)
    spacing = case.frame.grid.spacing_mm[::-1]
    nearest = found[np.argmin((((found - found.mean(axis=0)) * spacing) ** 2).sum(axis=1))]
    index = nearest + [part.start for part in box]
    return (case.frame.grid.to_world @ [*index, 1])[:3].tolist()


def _place_meshes(case: PageCase, structures: Sequence[dict[str, Any]], chunks: Chunks) -> dict[str, Any]:
    """Embed the meshes; returns the grid of their points and the box around them."""
    surfaces: dict[str, Surface] = {
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
        surface = surfaces.get(one["id"])
        if surface is not None:
            centre = (surface.points.min(axis=0) + surface.points.max(axis=0)) / 2
            one["mesh"] = {
                "chunk": chunks.add(mesh_bytes(surface.points, surface.triangles, grid)),
                "points": len(surface.points),
                "triangles": len(surface.triangles),
                "centre": centre.tolist(),
            }
    return {"lower": lower.tolist(), "upper": upper.tolist(), "step": grid.step}


def _label_volumes(case: PageCase, structures: Sequence[dict[str, Any]], chunks: Chunks) -> dict[str, Any]:
    """Labels as numbers of structures from 1 on, and trees with the lesion on top, each on the finest grid that fits."""
    block = _block(case, LARGEST_LABELS)
    ids = [str(label) for label in case.present]
    table = np.zeros(int(case.labels.max()) + 1, np.uint8 if len(ids) < 256 else np.uint16)
    table[case.present] = np.arange(1, len(ids) + 1)
    places = [np.arange(n // 2, length, n) for n, length in zip(block, case.labels.shape, strict=True)]
    labels = table[case.labels[np.ix_(*places)]]
    volumes = {"segments": _volume(case, labels, block, [n // 2 for n in block], chunks) | {"ids": [None, *ids]}}
    named = [one["id"] for one in structures if one["id"] in case.masks]
    if named:
        extras = np.zeros(case.labels.shape, np.uint8)
        for number, name in reversed(list(enumerate(named, 1))):  # the first tree lies over the others
            extras[case.masks[name]] = number
        if LESION in named:
            extras[case.masks[LESION]] = named.index(LESION) + 1
        for axis, n in enumerate(block):
            if n > 1:  # the largest of a block: thin branches stay whole
                extras = np.maximum.reduceat(extras, np.arange(0, extras.shape[axis], n), axis=axis)
        volumes["extras"] = _volume(case, extras, block, [(n - 1) / 2 for n in block], chunks) | {"ids": [None, *named]}
    return volumes


def _image(case: PageCase, chunks: Chunks, largest: int) -> tuple[dict[str, Any] | None, list[str]]:
    """Embed the grey values on the finest grid that fits, with a note if it is not the image's own."""
    if case.grey is None:
        return None, []
    limit = LARGEST_IMAGE
    while True:
        block = _block(case, limit)
        codes = case.grey.coded(block)
        trial = Chunks()
        trial.add(differences(codes))
        if chunks.size + trial.size <= largest or limit < 1000:
            break
        limit = int(limit * min(0.9, 0.95 * max(0.05, (largest - chunks.size) / trial.size)))
    about = _about(case, codes.shape, block, [(n - 1) / 2 for n in block])
    about |= {"chunk": len(chunks.texts), "bytes": 1, "differences": True}
    about |= {"values": case.grey.levels().round(4).tolist(), "unit": HU if case.grey.is_hu else ""}
    chunks.texts += trial.texts
    if max(block) == 1:
        return about, []
    size = " x ".join(f"{step:.1f}" for step in about["step"])
    return about, [f"Grey values are means over {size} mm; outlines and volumes are the label map's own."]


def _volume(case: PageCase, values: np.ndarray, block: Sequence[int], first: Sequence[float], chunks: Chunks) -> dict[str, Any]:
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return _about(case, values.shape, block, first) | {"chunk": chunks.add(little.tobytes()), "bytes": values.dtype.itemsize}


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


def _groups(case: PageCase, structures: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The list's groups: lesions, trees, lobes, the rest."""
    of_kind = {kind: [one["id"] for one in structures if one["kind"] == kind] for kind in (LESION, "tree", "segment")}
    groups = {"Lesion": of_kind[LESION], "Airways and vessels": of_kind["tree"]}
    left = of_kind["segment"]
    for lobe, labels in case.names.lobes.items():
        groups[lobe] = [str(label) for label in labels if str(label) in left]
        left = [one for one in left if one not in groups[lobe]]
    groups["Other" if case.names.lobes else "Labels"] = left
    return [{"name": name, "ids": ids} for name, ids in groups.items() if ids]


def _middle(structures: Sequence[dict[str, Any]]) -> list[float]:
    """Where parts move away from."""
    centres = [one["mesh"]["centre"] for one in structures if "mesh" in one and one["kind"] == "segment"]
    centres = centres or [one["mesh"]["centre"] for one in structures if "mesh" in one]
    return np.mean(centres, axis=0).tolist() if centres else [0.0, 0.0, 0.0]


def _start(case: PageCase, structures: Sequence[dict[str, Any]]) -> list[float]:
    """Where the crosshair begins: in the lesion, else in the largest structure."""
    lesions = [one for one in structures if one["kind"] == LESION]
    return max(lesions or structures, key=lambda one: float(one["volume_ml"]))["inside"]


def _facts(case: PageCase) -> list[str]:
    sizes = " x ".join(f"{step:.2g}" for step in case.spacing_mm)
    total = sum(case.voxels[label] for label in case.present) * case.voxel_ml
    return [f"{len(case.present)} labels, {total:.0f} ml", f"voxels {sizes} mm"]

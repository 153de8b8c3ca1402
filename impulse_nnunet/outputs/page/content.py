"""The data of a page, as ``viewer/src`` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from impulse_nnunet.outputs.page.case import LESION, PageCase
from impulse_nnunet.outputs.page.embedded import embed_grey, embed_labels, embed_masks, embed_meshes
from impulse_nnunet.outputs.page.packing import Chunks
from impulse_nnunet.outputs.page.structures import SEGMENT, TREE, structures_of

GHOST = 0.35  # opacity of segments where something lies inside them


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
    structures = structures_of(case)
    grid = embed_meshes(case, structures, chunks)
    volumes, notes = _volumes(case, structures, chunks, largest)
    about = {
        "title": title,
        "made": made,
        "facts": _facts(case),
        "notes": case.notes + notes,
        "labels": {str(label): case.names.name(label) for label in case.present},
        "volumes_ml": {str(key): round(count * case.voxel_ml, 6) for key, count in case.voxels.items()},
        "spacing_mm": list(case.spacing_mm),
        "structures": structures,
        "groups": _groups(case, structures),
        "ghost": 1 if all(one["kind"] == SEGMENT for one in structures) else GHOST,
        "windows": case.grey.windows() if case.grey else [],
        "frame": case.frame.content(),
        "volumes": volumes,
        "grid": grid,
        "middle": _middle(structures),
        "start": _start(structures),
    }
    return PageContent(about, chunks)


def _volumes(
    case: PageCase, structures: Sequence[dict[str, Any]], chunks: Chunks, largest: int
) -> tuple[dict[str, Any], list[str]]:
    volumes: dict[str, Any] = {"segments": embed_labels(case, chunks), "image": None}
    named = [one["id"] for one in structures if one["id"] in case.masks]
    if named:
        volumes["extras"] = embed_masks(case, named, chunks)
    notes: list[str] = []
    if case.grey is not None:
        volumes["image"], notes = embed_grey(case, case.grey, chunks, largest)
    return volumes, notes


def _groups(case: PageCase, structures: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The list's groups: lesions, trees, lobes, the rest."""
    of_kind = {kind: [one["id"] for one in structures if one["kind"] == kind] for kind in (LESION, TREE, SEGMENT)}
    groups = {"Lesion": of_kind[LESION], "Airways and vessels": of_kind[TREE]}
    left = of_kind[SEGMENT]
    for lobe, labels in case.names.lobes.items():
        groups[lobe] = [str(label) for label in labels if str(label) in left]
        left = [one for one in left if one not in groups[lobe]]
    groups["Other" if case.names.lobes else "Labels"] = left
    return [{"name": name, "ids": ids} for name, ids in groups.items() if ids]


def _middle(structures: Sequence[dict[str, Any]]) -> list[float]:
    """Where parts move away from."""
    centres = [one["mesh"]["centre"] for one in structures if "mesh" in one and one["kind"] == SEGMENT]
    centres = centres or [one["mesh"]["centre"] for one in structures if "mesh" in one]
    return np.mean(centres, axis=0).tolist() if centres else [0.0, 0.0, 0.0]


def _start(structures: Sequence[dict[str, Any]]) -> list[float]:
    """Where the crosshair begins: in the lesion, else in the largest structure."""
    lesions = [one for one in structures if one["kind"] == LESION]
    place: list[float] = max(lesions or structures, key=lambda one: float(one["volume_ml"]))["inside"]
    return place


def _facts(case: PageCase) -> list[str]:
    sizes = " x ".join(f"{step:.2g}" for step in case.spacing_mm)
    total = sum(case.voxels[label] for label in case.present) * case.voxel_ml
    return [f"{len(case.present)} label{'s' if len(case.present) > 1 else ''}, {total:.0f} ml", f"voxels {sizes} mm"]

"""Surfaces straight from the network's field: labels are decoded on a grid as fine as asked for, then bordered.

No label map of that spacing is written. The field has no grid of its own, so that a finer one shows more of the border
that the network learned, and its stairs get lower, which no method that starts from voxels can do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from impulse_nnunet.decoding import EncodedBox, decode_labels
from impulse_nnunet.errors import InputError
from impulse_nnunet.inference.world import output_grid
from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.io.label_maps import LabelMap
from impulse_nnunet.io.label_scheme import label_scheme
from impulse_nnunet.nnunet.output_options import MESH_FOLDER
from impulse_nnunet.outputs.cases import segments_of
from impulse_nnunet.outputs.formats import FORMATS, Content
from impulse_nnunet.outputs.names import named

MOST_VOXELS = 2**31  # of the box; at 2 GB of labels and some 10 GB of surfaces


def decode_fine(
    encoded: EncodedBox, image: FileGrid, to_world: np.ndarray, spacing_mm: float, block_points: int, case: str
) -> LabelMap:
    """Labels of the encoded box at a spacing, along the image's axes.

    Args:
        encoded: Of the box.
        image: Grid of the image's file.
        to_world: World position of positions in the preprocessed image.
        spacing_mm: Along all three axes.
        block_points: Points that are decoded at once.
        case: Identifier.

    Raises:
        InputError: So fine that the box has more voxels than memory holds.
    """
    fine = image.with_spacing((spacing_mm,) * 3)
    lower, upper = output_grid(fine, to_world).index_range(encoded.box)
    if float(np.prod((upper - lower).astype(np.float64))) > MOST_VOXELS:
        found = f"{spacing_mm} mm, {np.prod((upper - lower) / 1000):.1f} thousand million voxels"
        raise InputError("`mesh_spacing_mm`", found, f"at most {MOST_VOXELS / 1e9:.1f}", "give a larger spacing")
    move = np.eye(4)
    move[:3, 3] = lower
    part = FileGrid.from_array(np.maximum(upper - lower, 1).tolist(), fine.to_world @ move)
    return LabelMap(decode_labels(encoded, output_grid(part, to_world), block_points), part, Path(case))


def write_meshes(
    labels: LabelMap, dataset_json: Mapping[str, Any], case: str, formats: Sequence[str], output: Path
) -> None:
    """Write the surfaces of a case's fine labels into the folder ``meshes``.

    Raises:
        InputError: No voxel is labelled.
    """
    names = named(label_scheme(dataset_json, Path("dataset.json")))
    content = Content(case=case, segments=segments_of(labels, names))
    for name in formats:
        FORMATS[name](content, output / MESH_FOLDER)

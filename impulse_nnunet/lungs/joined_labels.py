"""Label maps of the first stage's models, joined from what a CT data set has: lobes from segments, BAV from masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from impulse_nnunet.io.files import link_whole
from impulse_nnunet.io.label_maps import read_label_map, write_label_map
from impulse_nnunet.io.same_grid import check_files_on_same_grid
from impulse_nnunet.lungs.anatomy import BAV_LABELS, LOBES
from impulse_nnunet.lungs.label_mapping import lobes_of_segments

SEGMENTS = "segments"
JOINED = {"lobes": {"background": 0} | {name: number for number, name in enumerate(LOBES, 1)}, "bav": BAV_LABELS}
LABELS = (SEGMENTS, *JOINED)


def write_labels(what: str, segments: Path, trees: list[Path], image: Path, target: Path) -> None:
    """Write a case's label map.

    Args:
        what: One of :data:`LABELS`; ``segments`` links the file.
        segments: The segments.
        trees: Masks of bronchi, arteries and veins.
        image: The CT, whose grid all files must have.
        target: The label map.

    Raises:
        InputError: A file is missing, bad or on another grid.
    """
    if what == SEGMENTS:
        check_files_on_same_grid(segments, image)
        link_whole(segments, target)
        return
    sources = [segments] if what == "lobes" else trees
    maps = [read_label_map(file).labels for file in sources]
    for file in sources:
        check_files_on_same_grid(file, image)
    joined = lobes_of_segments().index_map(maps[0], str(segments)) if what == "lobes" else _first_that_shows(maps)
    write_label_map(joined, image, target)


def _first_that_shows(maps: list[np.ndarray]) -> np.ndarray:
    """1 where the first map shows something, else 2 where the second does, and so on."""
    joined = np.zeros(maps[0].shape, np.uint8)
    for number, found in reversed(list(enumerate(maps, 1))):
        joined[found > 0] = number
    return joined

"""Jobs of ``make bench``: surfaces, files and tables of 18 segments in 300 x 512 x 512 voxels."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evaluation import CLASSES, SPACING_MM, make_case

LABELS = range(1, CLASSES)


@cache
def content(smooth_mm: float | None = None) -> Any:
    """The made-up case of :mod:`benchmarks.evaluation`, with names and lobes."""
    from impulse_nnunet.io.grid import FileGrid
    from impulse_nnunet.io.label_maps import LabelMap
    from impulse_nnunet.outputs.cases import Segments
    from impulse_nnunet.outputs.formats import Content
    from impulse_nnunet.outputs.names import LabelNames

    folder = Path(tempfile.mkdtemp())
    make_case(folder)
    labels = np.load(folder / "reference.npy")
    names = LabelNames(names={label: f"segment {label}" for label in LABELS}, lobes={"one": (1, 2), "other": (3, 4)})
    grid = FileGrid.at_world_origin(labels.shape, SPACING_MM)
    present = tuple(LABELS)
    segments = Segments(
        label_map=LabelMap(labels, grid, folder), names=names, present=present, labels=present, absent=()
    )
    return Content(case="case", segments=segments, smooth_mm=smooth_mm)


def surfaces(smooth_mm: float | None) -> Callable[[], Callable[[], Any]]:
    """All surfaces with shared borders; None smooths as ``export`` does by default."""

    def make() -> Callable[[], Any]:
        from impulse_nnunet.outputs.formats import Content

        shown = content(smooth_mm)
        return lambda: Content(case="case", segments=shown.segments, smooth_mm=smooth_mm).scene

    return make


def scikit_image() -> Callable[[], Any]:
    """scikit-image's marching cubes label by label in the whole volume: no shared borders, nothing smoothed."""
    from skimage.measure import marching_cubes

    labels = np.pad(content().segments.label_map.labels, 1)
    return lambda: [marching_cubes(labels == label, 0.5, spacing=SPACING_MM) for label in LABELS]


def scikit_image_cropped() -> Callable[[], Any]:
    """The same, each label in its bounding box, as a careful user would write it."""
    from scipy import ndimage
    from skimage.measure import marching_cubes

    labels = content().segments.label_map.labels

    def run() -> None:
        for label, box in enumerate(ndimage.find_objects(labels), 1):
            marching_cubes(np.pad(labels[box] == label, 1), 0.5, spacing=SPACING_MM)

    return run


def one_format(name: str) -> Callable[[], Callable[[], Any]]:
    """One format from a label map in memory to its files; its surfaces are there."""

    def make() -> Callable[[], Any]:
        from impulse_nnunet.outputs.formats import FORMATS

        shown, folder = content(), Path(tempfile.mkdtemp())
        made = None if name == "seg.nrrd" else shown.scene  # which the content keeps
        return lambda: (made, FORMATS[name](shown, folder))

    return make


def table() -> Callable[[], Any]:
    """All rows of ``measure``, without a CT."""
    from impulse_nnunet.outputs.measure import measure

    segments = content().segments
    return lambda: measure(segments)


JOBS: dict[str, Callable[[], Callable[[], Any]]] = {
    "surfaces": surfaces(None),
    "surfaces_unsmoothed": surfaces(0.0),
    "marching_cubes": scikit_image,
    "marching_cubes_cropped": scikit_image_cropped,
    "write_stl": one_format("stl"),
    "write_glb": one_format("glb"),
    "write_3mf": one_format("3mf"),
    "write_obj": one_format("obj"),
    "write_seg_nrrd": one_format("seg.nrrd"),
    "measure": table,
}

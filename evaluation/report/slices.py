"""Slices of a case in three planes, through the places that show most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from impulse_nnunet.evaluation.report.drawing import SliceContent, draw_slice
from impulse_nnunet.evaluation.report.pictures import Picture
from impulse_nnunet.evaluation.report.volumes import CaseVolumes
from impulse_nnunet.outputs.colours import LabelStyle

LONGEST_SIDE = 640  # pixels of a case's longest edge; all its planes have one scale


@dataclass(frozen=True)
class Plane:
    """One of the three planes, seen as radiologists do: the patient's right is at the left of the picture.

    Args:
        name: Its name.
        axis: Of the (z, y, x) array, across the plane.
        upwards: Whether the rows of the array run to the head and are turned over.
        letters: What lies left, right, above and below.
    """

    name: str
    axis: int
    upwards: bool
    letters: tuple[str, str, str, str]

    def seen(self, slab: np.ndarray) -> np.ndarray:
        """A layer of one voxel as a picture: row 0 is at the top."""
        flat = slab.take(0, self.axis)
        return flat[::-1] if self.upwards else flat


PLANES = (
    Plane("axial", 0, False, ("R", "L", "A", "P")),
    Plane("coronal", 1, True, ("R", "L", "S", "I")),
    Plane("sagittal", 2, True, ("A", "P", "S", "I")),
)


def draw_planes(volumes: CaseVolumes, style: LabelStyle, case: str) -> dict[str, dict[str, Picture]]:
    """Draw three planes of a case for every method, the same slices for all of them.

    Returns:
        Plane -> method -> picture.
    """
    places = telling_slices(volumes)
    return {plane.name: _draw_plane(volumes, plane, places[plane.axis], style, case) for plane in PLANES}


def telling_slices(volumes: CaseVolumes) -> list[int]:
    """For each axis the slice with most intruding voxels, over all methods.

    If none intrudes the slice with most wrong voxels; if none is wrong, that with most labelled ones.
    """
    measures: tuple[Callable[[str], np.ndarray], ...] = (
        volumes.any_intruding,
        volumes.wrong,
        lambda _: volumes.reference > 0,
    )
    for measure in measures:
        counts = [np.zeros(length, np.int64) for length in volumes.reference.shape]
        for method in volumes.predictions:
            mask = measure(method)
            for axis in range(3):
                counts[axis] += np.count_nonzero(mask, axis=tuple(other for other in range(3) if other != axis))
        if counts[0].any():
            return [int(count.argmax()) for count in counts]
    return [length // 2 for length in volumes.reference.shape]


def slice_content(volumes: CaseVolumes, plane: Plane, index: int, method: str) -> SliceContent:
    """Everything that one picture shows, cut out of the volumes."""
    slab = volumes.slab(plane.axis, index)
    rows_mm, columns_mm = (step for axis, step in enumerate(volumes.spacing_mm) if axis != plane.axis)
    longest_mm = max(n * step for n, step in zip(volumes.reference.shape, volumes.spacing_mm, strict=True))
    return SliceContent(
        reference=plane.seen(slab.reference),
        prediction=plane.seen(slab.predictions[method]),
        tree=plane.seen(slab.any_tree()),
        intruding=plane.seen(slab.any_intruding(method)),
        image=None if slab.image is None else plane.seen(slab.image),
        grey_range=volumes.grey_range,
        spacing_mm=(rows_mm, columns_mm),
        pixels_per_mm=LONGEST_SIDE / longest_mm,
    )


def _draw_plane(volumes: CaseVolumes, plane: Plane, index: int, style: LabelStyle, case: str) -> dict[str, Picture]:
    place_mm = volumes.origin_mm[plane.axis] + index * volumes.spacing_mm[plane.axis]
    pictures = {}
    for method in volumes.predictions:
        content = slice_content(volumes, plane, index, method)
        counts = f"{(content.reference != content.prediction).sum()} wrong voxels"
        counts += f", {content.intruding.sum()} intruding" if volumes.own else ""
        caption = f"{plane.name}, {'zyx'[plane.axis]} = {place_mm:.1f} mm: {counts}"
        alt = f"{case}, {method}: outlines of reference and predicted labels; {caption}"
        pictures[method] = draw_slice(content, style, plane.letters, alt, caption)
    return pictures

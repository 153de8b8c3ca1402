"""Small cases with known places: boxes in a body, stored in any orientation."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

SPACING_MM = (1.5, 1.25, 2.0)  # along right-left, front-back, feet-head
SIZE = (64, 56, 40)
FIRST_MM = (-40.0, 10.0, -300.0)  # world position of the first voxel of the upright array
# first and last voxel (x, y, z) of boxes; x runs to the left, y to the back, z to the head
BOXES = {
    "right S1": ((6, 20, 22), (19, 39, 33)),
    "right S6": ((6, 20, 8), (19, 39, 21)),  # below it, touching
    "left S3": ((44, 20, 8), (57, 39, 33)),
}
AIRWAY = ((30, 28, 6), (33, 31, 37))
LESION = ((10, 26, 26), (15, 31, 29))
LABELS = {"background": 0} | {name: number for number, name in enumerate(BOXES, 1)}
FLIPS = list(itertools.product((1, -1), repeat=3))


def volume_ml(box) -> float:
    """Of a box, by hand: voxels along each axis times their edges."""
    voxels = np.prod([last - first + 1 for first, last in zip(*box, strict=True)])
    return float(voxels * np.prod(SPACING_MM) / 1000)


def centre(box) -> np.ndarray:
    """World position of a box's middle."""
    return np.asarray(FIRST_MM) + np.mean(box, axis=0) * SPACING_MM


def upright(box, value=1, out=None):
    """(z, y, x) uint8 with a box."""
    array = np.zeros(SIZE[::-1], np.uint8) if out is None else out
    (x0, y0, z0), (x1, y1, z1) = box
    array[z0 : z1 + 1, y0 : y1 + 1, x0 : x1 + 1] = value
    return array


def ct() -> np.ndarray:
    """(z, y, x) int16 HU: a body in air with lungs where the boxes are."""
    image = np.full(SIZE[::-1], -1000, np.int16)
    image[:, 6:50, 2:62] = 40
    for box in BOXES.values():
        image[upright(box) > 0] = -850
    image[upright(LESION) > 0] = 30
    return image


def store(array: np.ndarray, path: Path, flips=(1, 1, 1), turn: np.ndarray | None = None) -> Path:
    """Write an upright array with its axes x, y, z turned round where ``flips`` has -1; ``turn`` rotates the world."""
    size, spacing = np.asarray(SIZE), np.asarray(SPACING_MM)
    stored = array[tuple(slice(None, None, flip) for flip in reversed(flips))]
    first = np.where(np.asarray(flips) > 0, 0, size - 1) * spacing + FIRST_MM
    direction = np.diag(np.asarray(flips, float))
    if turn is not None:
        direction, first = turn @ direction, turn @ first
    image = sitk.GetImageFromArray(np.ascontiguousarray(stored))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(first.tolist())
    image.SetDirection(direction.ravel().tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def write_case(folder: Path, case: str = "case_1", flips=(1, 1, 1), turn: np.ndarray | None = None) -> Path:
    """Labels, their dataset.json, CT, tree and lesion in a folder each; returns the label map."""
    labels = np.zeros(SIZE[::-1], np.uint8)
    for number, box in enumerate(BOXES.values(), 1):
        upright(box, number, labels)
    store(ct(), folder / "images" / f"{case}_0000.nii.gz", flips, turn)
    store(upright(AIRWAY), folder / "trees" / "airway" / f"{case}.nii.gz", flips, turn)
    store(upright(LESION), folder / "lesions" / f"{case}.nii.gz", flips, turn)
    path = store(labels, folder / "labels" / f"{case}.nii.gz", flips, turn)
    content = {"channel_names": {"0": "CT"}, "labels": LABELS, "numTraining": 1, "file_ending": ".nii.gz"}
    (folder / "labels" / "dataset.json").write_text(json.dumps(content))
    return path

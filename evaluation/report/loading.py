"""Loading one case for its pictures: on one grid, cropped to what is labelled, turned to LPS."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.report.summaries import CaseResult
from impulse_nnunet.evaluation.report.volumes import CaseVolumes
from impulse_nnunet.evaluation.surface import foreground_bounds
from impulse_nnunet.io.formats import READING_ERRORS
from impulse_nnunet.io.grid import read_file_grid
from impulse_nnunet.io.label_maps import LabelMap, read_label_map
from impulse_nnunet.io.same_grid import check_same_grid, is_same_grid

MARGIN_MM = 8.0
PREDICTION = "prediction"


class NoPictureError(Exception):
    """A case's files do not allow pictures; the text says why."""


@dataclass(frozen=True, kw_only=True)
class SharedBox:
    """The part of the reference's grid that is shown, and how its axes are turned.

    Args:
        box: Part of the file's (d, h, w) array.
        turn: nibabel's orientation array from there to (z, y, x) in LPS.
        spacing_mm: (z, y, x).
        origin_mm: Position of the first voxel, (z, y, x).
    """

    box: tuple[slice, slice, slice]
    turn: np.ndarray
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]

    @classmethod
    def around(cls, reference: LabelMap, others: Sequence[LabelMap]) -> SharedBox:
        """The box of all foreground with a margin."""
        box = _bounding_box([reference.labels, *(other.labels for other in others)], reference.spacing_mm)
        first = np.eye(4)
        first[:3, 3] = [part.start for part in box]
        to_world = reference.grid.to_world @ first
        turn = io_orientation(to_world)
        turn[:, 0] = 2 - turn[:, 0]  # world is x, y, z; arrays are z, y, x
        turned = to_world @ inv_ornt_aff(turn, [part.stop - part.start for part in box])
        z, y, x = np.linalg.norm(turned[:3, :3], axis=0).tolist()
        origin = (turned[2, 3], turned[1, 3], turned[0, 3])
        return cls(box=box, turn=turn, spacing_mm=(z, y, x), origin_mm=origin)

    def show(self, array: np.ndarray) -> np.ndarray:
        """Cut and turn an array of the reference's shape."""
        return np.ascontiguousarray(apply_orientation(array[self.box], self.turn))


def load_case(
    results: Mapping[str, CaseResult], settings: Mapping[str, Any], images: Path | None = None
) -> CaseVolumes:
    """Load a case for its pictures.

    Args:
        results: Method -> its result of this case.
        settings: Settings of the evaluation of the first method: whether trees carry labels, which label is ignored.
        images: Folder with CASE_0000.* files, or None.

    Raises:
        NoPictureError: The reference, or every prediction, is gone or cannot be used.
    """
    notes: list[str] = []
    first = next(iter(results.values()))
    try:
        reference = read_label_map(first.reference_file)
    except InputError as error:
        raise NoPictureError(str(error)) from error
    predictions = _those_that_load({name: result.prediction_file for name, result in results.items()}, reference, notes)
    if not predictions:
        raise NoPictureError("; ".join(notes))
    if settings.get("ignore_label") is not None:
        reference, predictions = _without_ignored(reference, predictions, int(settings["ignore_label"]))
    trees = _those_that_load(_tree_files(results), reference, notes)
    frame = SharedBox.around(reference, list(predictions.values()))
    image = None if images is None else _image(first.name, images, reference, notes)
    shown = {name: frame.show(tree.labels) for name, tree in trees.items()}
    labels = frame.show(reference.labels)
    return CaseVolumes(
        spacing_mm=frame.spacing_mm,
        origin_mm=frame.origin_mm,
        reference=labels,
        predictions={name: frame.show(prediction.labels) for name, prediction in predictions.items()},
        trees={name: tree > 0 for name, tree in shown.items()},
        own={
            name: shown[name] if settings.get("tree_labels") else np.where(shown[name] > 0, labels, 0)
            for name in shown
            if _has_own_segments(results, name)
        },
        image=None if image is None else frame.show(image),
        notes=notes,
    )


def load_predicted(case: str, file: Path | None, images: Path | None = None) -> CaseVolumes:
    """Load a case that has no reference: its predicted labels stand in the reference's place.

    Raises:
        NoPictureError: The label map is gone or cannot be used.
    """
    if file is None:
        raise NoPictureError("there are no labels")
    try:
        label_map = read_label_map(file)
    except InputError as error:
        raise NoPictureError(str(error)) from error
    notes: list[str] = []
    frame = SharedBox.around(label_map, [])
    image = None if images is None else _image(case, images, label_map, notes)
    labels = frame.show(label_map.labels)
    return CaseVolumes(
        spacing_mm=frame.spacing_mm,
        origin_mm=frame.origin_mm,
        reference=labels,
        predictions={PREDICTION: labels},
        trees={},
        own={},
        image=None if image is None else frame.show(image),
        notes=notes,
        scored=False,
    )


def _those_that_load(files: Mapping[str, Path], reference: LabelMap, notes: list[str]) -> dict[str, LabelMap]:
    loaded = {}
    for name, path in files.items():
        try:
            label_map = read_label_map(path)
            check_same_grid(label_map.grid, reference.grid, str(path), str(reference.path))
            loaded[name] = label_map
        except InputError as error:
            notes.append(str(error))
    return loaded


def _tree_files(results: Mapping[str, CaseResult]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for result in results.values():
        for tree, entry in result.trees.items():
            files.setdefault(tree, Path(str(entry.get("file"))))
    return files


def _has_own_segments(results: Mapping[str, CaseResult], tree: str) -> bool:
    return any("NI" in result.trees.get(tree, {}) for result in results.values())


def _without_ignored(
    reference: LabelMap, predictions: Mapping[str, LabelMap], ignored: int
) -> tuple[LabelMap, dict[str, LabelMap]]:
    """Empty the ignored voxels in all maps, as the evaluation does."""
    valid = reference.labels != ignored
    emptied = {name: replace(one, labels=one.labels * valid) for name, one in predictions.items()}
    return replace(reference, labels=reference.labels * valid), emptied


def _image(case: str, folder: Path, reference: LabelMap, notes: list[str]) -> np.ndarray | None:
    """Grey values on the reference's grid; resampled if they lie on another one."""
    found = sorted(folder.glob(f"{glob.escape(case)}_0000.*"))
    if len(found) != 1:
        notes.append(f"{len(found)} files {case}_0000.* in {folder}, one was expected: drawn without an image")
        return None
    try:
        image, grid = sitk.ReadImage(str(found[0])), read_file_grid(found[0])
        target = sitk.GetImageFromArray(reference.labels)
        grid.put_on(image)
        reference.grid.put_on(target)
    except READING_ERRORS as error:
        notes.append(f"{found[0]}: drawn without this image ({' '.join(str(error).split())[-160:]})")
        return None
    if not is_same_grid(grid, reference.grid):
        darkest = float(sitk.GetArrayViewFromImage(image).min())
        image = sitk.Resample(image, target, sitk.Transform(), sitk.sitkLinear, darkest)
    return sitk.GetArrayFromImage(image)


def _bounding_box(volumes: Sequence[np.ndarray], spacing_mm: Sequence[float]) -> tuple[slice, slice, slice]:
    lower, upper = foreground_bounds(volumes)
    slices = []
    for axis, length in enumerate(volumes[0].shape):
        first, last = (lower[axis], upper[axis]) if upper[axis] else (0, length)
        margin = round(MARGIN_MM / spacing_mm[axis])
        slices.append(slice(int(max(0, first - margin)), int(min(length, last + margin))))
    return slices[0], slices[1], slices[2]

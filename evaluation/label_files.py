"""Label maps from files, checked: whole, three-dimensional, integer labels, on the expected grid."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.kernels import occurring_values
from impulse_nnunet.world import NIFTI, READING_ERRORS, FileGrid, largest_offset_mm, read_file_grid

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
SPACING_TOLERANCE = 1e-3  # relative
OFFSET_TOLERANCE = 0.1  # voxels
LARGEST_LABEL = 65535


@dataclass(frozen=True)
class LabelMap:
    """A label map from a file.

    Args:
        labels: (d, h, w) uint8 or uint16, C-contiguous.
        grid: Its place in the world.
        path: Where it came from.
    """

    labels: np.ndarray
    grid: FileGrid
    path: Path

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """(d, h, w)."""
        x, y, z = self.grid.spacing_mm.tolist()
        return z, y, x


def cases_in(folder: Path, ending: str | None = None) -> dict[str, Path]:
    """Case identifier -> file, for the label maps in a folder.

    Args:
        folder: Where they lie.
        ending: Of the files, e.g. ``.nii.gz``; None takes every ending in :data:`ENDINGS`.

    Raises:
        InputError: No such folder, or two files of one case.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", "a folder of label maps", "check the path")
    cases: dict[str, Path] = {}
    with os.scandir(folder) as entries:  # the listing tells files from folders: no look at each of 100 000 files
        names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file())
    for name in names:
        found = next((e for e in ([ending] if ending else ENDINGS) if name.endswith(e)), None)
        if found is None:
            continue
        path, case = folder / name, name[: -len(found)]
        if case in cases:
            raise InputError(
                str(path), f"a second file of case {case}, beside {cases[case].name}", "one", "remove one of them"
            )
        cases[case] = path
    return cases


def read_label_map(path: Path) -> LabelMap:
    """Read a label map.

    Raises:
        InputError: A missing or unreadable file, not 3D, or values that are no labels.
    """
    if not path.is_file():
        raise InputError(str(path), "no such file", "a label map", "add it, or leave the case out")
    try:
        grid = read_file_grid(path)
        if path.name.lower().endswith(NIFTI):
            voxels = nibabel.load(path).dataobj  # type: ignore[attr-defined]
            array = np.asanyarray(voxels).T  # (x, y, z) in Fortran order
        else:
            array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except InputError:
        raise
    except READING_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            str(path), f"an unreadable file ({reason[:160]})", "a whole 3D label map", "write it again"
        ) from error
    if array.ndim != 3:
        raise InputError(str(path), f"{array.ndim} dimensions", "a 3D label map", "convert the file")
    return LabelMap(_as_labels(array, path), grid, path)


def check_same_grid(label_map: LabelMap, reference: LabelMap) -> None:
    """Refuse a label map that does not lie on the reference's grid, naming both and what differs."""
    ours, theirs, subject = label_map.grid, reference.grid, str(label_map.path)
    remedy = f"resample it to the grid of {reference.path}"
    if label_map.labels.shape != reference.labels.shape:
        raise InputError(
            subject, f"shape {label_map.labels.shape}", f"{reference.labels.shape} as the reference has", remedy
        )
    if not np.allclose(ours.spacing_mm, theirs.spacing_mm, rtol=SPACING_TOLERANCE):
        raise InputError(
            subject, f"spacing {_rounded(label_map.spacing_mm)} mm",
            f"{_rounded(reference.spacing_mm)} mm as the reference has", remedy,
        )  # fmt: skip
    allowed = OFFSET_TOLERANCE * float(theirs.spacing_mm.min())
    if largest_offset_mm(ours.to_world, theirs.to_world, reference.labels.shape) <= allowed:
        return
    found, expected = (_geometry(grid, ours, theirs, allowed) for grid in (ours, theirs))
    raise InputError(subject, found, f"{expected} as the reference has", remedy)


def to_classes(label_map: LabelMap, labels: Sequence[int]) -> np.ndarray:
    """Replace labels by classes: 0 stays, ``labels[i]`` becomes i + 1; (d, h, w) uint8 or uint16.

    Raises:
        InputError: A label that is not among them.
    """
    occurs = np.zeros(LARGEST_LABEL + 1, bool)
    occurring_values(label_map.labels.reshape(-1), occurs)
    occurs[[0, *labels]] = False
    if occurs.any():
        unknown = ", ".join(str(v) for v in np.flatnonzero(occurs)[:5])
        known = ", ".join(str(v) for v in labels)
        raise InputError(
            str(label_map.path), f"label(s) {unknown}", f"only 0, {known}",
            "correct the label map, or name its labels in dataset.json",
        )  # fmt: skip
    if list(labels) == list(range(1, len(labels) + 1)):
        return label_map.labels
    table = np.zeros(LARGEST_LABEL + 1, np.uint8 if len(labels) <= 255 else np.uint16)
    table[list(labels)] = np.arange(1, len(labels) + 1)
    return table[label_map.labels]


def _as_labels(array: np.ndarray, path: Path) -> np.ndarray:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "buif":
        raise InputError(str(path), f"voxels of type {array.dtype}", "labels", "write it as integers")
    if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
        raise InputError(str(path), "NaN or infinite voxels", "labels", "write it as integers")
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if low < 0 or high > LARGEST_LABEL:
        raise InputError(str(path), f"values from {low} to {high}", f"labels from 0 to {LARGEST_LABEL}", "correct it")
    labels = array.astype(np.uint8 if high <= 255 else np.uint16, order="C")
    if array.dtype.kind == "f" and not np.array_equal(labels, array):
        raise InputError(str(path), "values between the integers", "labels", "resample label maps without smoothing")
    return labels


def _geometry(grid: FileGrid, ours: FileGrid, theirs: FileGrid, allowed_mm: float) -> str:
    """What two grids of equal shape and (nearly) equal spacing differ in, as one of them has it."""
    direction = f"direction {_rounded(grid.direction.ravel())}"
    if not np.allclose(ours.direction, theirs.direction, atol=SPACING_TOLERANCE):
        return direction
    if np.linalg.norm(ours.origin - theirs.origin) > allowed_mm:
        return f"origin {_rounded(grid.origin)} mm"
    # differences too small to matter for a voxel, but not for the far end of the image
    return f"spacing {_rounded(grid.spacing_mm[::-1])} mm, {direction}"


def _rounded(values: Sequence[float] | np.ndarray) -> str:
    return "(" + ", ".join(f"{float(v):.6g}" for v in values) + ")"

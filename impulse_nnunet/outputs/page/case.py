"""The files of one case and what a page shows of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.label_maps import LabelMap, count_values, read_label_map
from impulse_nnunet.io.same_grid import check_same_grid
from impulse_nnunet.outputs.names import LabelNames
from impulse_nnunet.outputs.page.frame import PageFrame
from impulse_nnunet.outputs.page.grey import Grey, read_grey

LESION = "lesion"
TREE_WORDS = re.compile(r"airway|bronch|trachea|arter|vein|venous|vessel|interseg|aorta|vena|portal", re.IGNORECASE)
MARGIN_MM, MARGIN_WITH_IMAGE_MM = 6.0, 25.0
OBLIQUE_FROM = 2.0  # degrees: from there the page says so


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """Where a case lies.

    Args:
        case: Identifier.
        labels: The label map.
        image: CT or other image, or None.
        trees: Name -> mask.
        lesion: Mask, or None.
    """

    case: str
    labels: Path
    image: Path | None = None
    trees: Mapping[str, Path] = field(default_factory=dict)
    lesion: Path | None = None


@dataclass(frozen=True, kw_only=True)
class PageCase:
    """What a page shows; arrays are (z, y, x) on the grid of ``frame``.

    Args:
        case: Identifier.
        names: Of the labels.
        frame: Where the arrays lie.
        labels: Labels.
        masks: Trees, then the lesion: name -> bool array.
        grey: The image, or None.
        voxels: Label, or name of a mask -> voxels in the whole file.
        voxel_ml: Volume of a voxel.
        spacing_mm: Of the label map: right-left, front-back, feet-head.
        notes: What a reader must know.
    """

    case: str
    names: LabelNames
    frame: PageFrame
    labels: np.ndarray
    masks: Mapping[str, np.ndarray]
    grey: Grey | None
    voxels: Mapping[int | str, int]
    voxel_ml: float
    spacing_mm: tuple[float, float, float]
    notes: list[str]

    @property
    def present(self) -> list[int]:
        """Labels with voxels, ascending."""
        return [label for label in self.voxels if isinstance(label, int)]


def read_page_case(files: CaseFiles, names: LabelNames, is_hu: bool | None = None) -> PageCase:
    """Read a case's files.

    Args:
        files: Where they lie.
        names: Of its labels.
        is_hu: Whether the image holds HU; None decides by its values.

    Raises:
        InputError: A file that is missing, unreadable, on another grid or without a labelled voxel.
    """
    labels = read_label_map(files.labels)
    present = _labels_of(labels, names)
    masks = {name: _mask(path, labels) for name, path in files.trees.items()}
    if files.lesion is not None:
        masks[LESION] = _mask(files.lesion, labels)
    counts: dict[int | str, int] = dict(present) | {name: int(mask.sum()) for name, mask in masks.items()}
    margin_mm = MARGIN_WITH_IMAGE_MM if files.image is not None else MARGIN_MM
    frame = PageFrame.around([labels.labels, *masks.values()], labels.grid, margin_mm)
    grey = None if files.image is None else read_grey(files.image, frame, labels.grid, is_hu)
    x, y, z = frame.grid.spacing_mm.tolist()
    shown = frame.turned(labels.labels)
    if names.ignore_label is not None:
        shown[shown == names.ignore_label] = 0
    return PageCase(
        case=files.case,
        names=names,
        frame=frame,
        labels=shown,
        masks={name: frame.turned(mask) for name, mask in masks.items()},
        grey=grey,
        voxels=counts,
        voxel_ml=abs(float(np.linalg.det(labels.grid.to_world[:3, :3]))) / 1000,
        spacing_mm=(x, y, z),
        notes=_notes(files, present, names, frame, grey, counts),
    )


def _labels_of(labels: LabelMap, names: LabelNames) -> dict[int, int]:
    counts = count_values(labels.labels)
    present = {int(label): int(counts[label]) for label in np.flatnonzero(counts) if label not in (0, names.ignore_label)}
    if not present:
        raise InputError(str(labels.path), "no labelled voxel", "at least one", "leave the case out")
    return present


def _mask(path: Path, labels: LabelMap) -> np.ndarray:
    mask = read_label_map(path)
    check_same_grid(mask.grid, labels.grid, str(path), str(labels.path))
    return mask.labels > 0


def _notes(
    files: CaseFiles,
    present: Mapping[int, int],
    names: LabelNames,
    frame: PageFrame,
    grey: Grey | None,
    counts: Mapping[int | str, int],
) -> list[str]:
    notes = []
    unnamed = [label for label in present if label not in names.names]
    if unnamed:
        listed = ", ".join(map(str, unnamed[:8])) + (", ..." if len(unnamed) > 8 else "")
        notes.append(f"No name is known for label{'s' if len(unnamed) > 1 else ''} {listed}.")
    missing = [name for label, name in names.names.items() if label not in present and label != names.ignore_label]
    if missing and len(missing) <= 12:
        notes.append(f"Without a voxel: {', '.join(missing)}.")
    elif missing:
        notes.append(f"Without a voxel: {len(missing)} of {len(names.names)} labels.")
    notes += [f"The mask {name} is empty." for name in (*files.trees, LESION) if counts.get(name) == 0]
    if frame.oblique_degrees >= OBLIQUE_FROM:
        angle = f"{frame.oblique_degrees:.0f} degrees"
        notes.append(f"The image is turned against the body's axes by {angle}: slices run along the image's own axes.")
    if grey is not None and grey.resampled:
        notes.append("The image was resampled to the label map's grid.")
    if grey is not None and grey.outside > 0.005:
        notes.append(f"The image does not cover {100 * grey.outside:.0f} % of the slices shown (darkest grey).")
    return notes

"""The files of one case and what a page shows of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from impulse_nnunet.io.label_maps import LabelMap, count_values, read_label_map
from impulse_nnunet.io.same_grid import check_same_grid
from impulse_nnunet.outputs.cases import read_segments
from impulse_nnunet.outputs.names import LabelNames
from impulse_nnunet.outputs.page.frame import PageFrame
from impulse_nnunet.outputs.page.grey import Grey, read_grey

LESION = "lesion"
MARGIN_MM, MARGIN_WITH_IMAGE_MM = 6.0, 25.0
OBLIQUE_SHOWN_FROM = 2.0  # degrees: from there the page says so
SEEN_OUTSIDE = 0.005  # share of the slices without an image that is worth a note
MOST_LISTED = 12


@dataclass(frozen=True, kw_only=True)
class PageFiles:
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
    notes: list[str] = field(default_factory=list)

    @property
    def present(self) -> list[int]:
        """Labels with voxels, ascending."""
        return [label for label in self.voxels if isinstance(label, int)]


def read_page_case(
    files: PageFiles, names: LabelNames, is_hu: bool | None = None, wanted: Sequence[int] | None = None
) -> PageCase:
    """Read a case's files.

    Args:
        files: Where they lie.
        names: Of its labels.
        is_hu: Whether the image holds HU; None decides by its values.
        wanted: Labels to show; None shows all.

    Raises:
        InputError: A file that is missing, unreadable, on another grid or without a labelled voxel.
    """
    segments = read_segments(files.labels, names, wanted)
    shown = _only(segments.label_map, segments.labels)
    masks = {name: _mask(path, shown) for name, path in files.trees.items()}
    if files.lesion is not None:
        masks[LESION] = _mask(files.lesion, shown)
    counts = count_values(shown.labels)
    voxels: dict[int | str, int] = {label: int(counts[label]) for label in segments.labels}
    voxels |= {name: int(mask.sum()) for name, mask in masks.items()}
    margin_mm = MARGIN_WITH_IMAGE_MM if files.image is not None else MARGIN_MM
    frame = PageFrame.around([shown.labels, *masks.values()], shown.grid, margin_mm)
    grey = None if files.image is None else read_grey(files.image, frame, shown.grid, is_hu)
    x, y, z = frame.grid.spacing_mm.tolist()
    case = PageCase(
        case=files.case,
        names=names,
        frame=frame,
        labels=frame.turned(shown.labels),
        masks={name: frame.turned(mask) for name, mask in masks.items()},
        grey=grey,
        voxels=voxels,
        voxel_ml=abs(float(np.linalg.det(shown.grid.to_world[:3, :3]))) / 1000,
        spacing_mm=(x, y, z),
    )
    return replace(case, notes=[*_notes_of_labels(case, wanted), *_notes_of_places(case)])


def _only(label_map: LabelMap, labels: Sequence[int]) -> LabelMap:
    """A label map with these labels only."""
    table = np.zeros(int(label_map.labels.max()) + 1, label_map.labels.dtype)
    table[list(labels)] = labels
    return replace(label_map, labels=table[label_map.labels])


def _mask(path: Path, labels: LabelMap) -> np.ndarray:
    mask = read_label_map(path)
    check_same_grid(mask.grid, labels.grid, str(path), str(labels.path))
    return mask.labels > 0


def _notes_of_labels(case: PageCase, wanted: Sequence[int] | None) -> list[str]:
    names, notes = case.names.names, []
    unnamed = [label for label in case.present if label not in names]
    if unnamed:
        listed = ", ".join(map(str, unnamed[:MOST_LISTED])) + (", ..." if len(unnamed) > MOST_LISTED else "")
        notes.append(f"No name is known for label{'s' if len(unnamed) > 1 else ''} {listed}.")
    expected = [label for label in names if label != case.names.ignore_label and (wanted is None or label in wanted)]
    missing = [names[label] for label in expected if label not in case.present]
    if missing and len(missing) <= MOST_LISTED:
        notes.append(f"Without a voxel: {', '.join(missing)}.")
    elif missing:
        notes.append(f"Without a voxel: {len(missing)} of {len(expected)} labels.")
    return notes + [f"The mask {name} is empty." for name in case.masks if case.voxels[name] == 0]


def _notes_of_places(case: PageCase) -> list[str]:
    notes, grey = [], case.grey
    if case.frame.oblique_degrees >= OBLIQUE_SHOWN_FROM:
        angle = f"{case.frame.oblique_degrees:.0f} degrees"
        notes.append(f"The image is turned against the body's axes by {angle}: slices run along the image's own axes.")
    if grey is not None and grey.resampled:
        notes.append("The image was resampled to the label map's grid.")
    if grey is not None and grey.outside > SEEN_OUTSIDE:
        notes.append(f"The image does not cover {100 * grey.outside:.0f} % of the slices shown (darkest grey).")
    return notes

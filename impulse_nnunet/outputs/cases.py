"""Label maps that a user names: one file, or a folder of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import check_unchanged, stamps_of
from impulse_nnunet.io.formats import LABEL_MAP_ENDINGS
from impulse_nnunet.io.label_maps import LabelMap, count_values, read_label_map
from impulse_nnunet.io.listing import cases_in
from impulse_nnunet.outputs.names import LabelNames


@dataclass(frozen=True, kw_only=True)
class Segments:
    """A case's label map with what it holds.

    Args:
        label_map: As the file has it.
        names: Of its labels.
        present: Labels with voxels, ascending, without the ignore label.
        labels: Those of them that are asked for.
        absent: Labels that are asked for, or named, and have no voxels.
    """

    label_map: LabelMap
    names: LabelNames
    present: tuple[int, ...]
    labels: tuple[int, ...]
    absent: tuple[int, ...]


def find_cases(segments: Path) -> dict[str, Path]:
    """Case identifier -> label map.

    Raises:
        InputError: Nothing there, or no label map.
    """
    endings = ", ".join(LABEL_MAP_ENDINGS)
    if segments.is_dir():
        cases = cases_in(segments)
        if not cases:
            raise InputError(str(segments), "no label map", f"files that end in {endings}", "check the folder")
        return cases
    if not segments.exists():
        raise InputError(str(segments), "no such file or folder", "a label map, or a folder of them", "check the path")
    ending = next((ending for ending in LABEL_MAP_ENDINGS if segments.name.endswith(ending)), None)
    if ending is None:
        raise InputError(str(segments), "another ending", endings, "convert the file")
    return {segments.name.removesuffix(ending): segments}


def read_segments(path: Path, names: LabelNames, wanted: Sequence[int] | None = None) -> Segments:
    """Read a label map and see what it holds.

    Args:
        path: The file.
        names: Of its labels.
        wanted: None takes all.

    Raises:
        InputError: No label map, none that is asked for, or a label that neither the map nor the names know.
    """
    stamps = stamps_of([path])
    label_map = read_label_map(path)
    check_unchanged(stamps, str(path))
    return segments_of(label_map, names, wanted)


def segments_of(label_map: LabelMap, names: LabelNames, wanted: Sequence[int] | None = None) -> Segments:
    """See what a label map holds; as :func:`read_segments`."""
    path = label_map.path
    counts = count_values(label_map.labels)
    present = [int(label) for label in np.flatnonzero(counts) if label not in (0, names.ignore_label)]
    if not present:
        raise InputError(str(path), "no labelled voxel", "at least one", "leave the case out")
    labels = present if wanted is None else [label for label in present if label in wanted]
    unknown = [label for label in wanted or () if label not in present and label not in names.names]
    if unknown or not labels:
        found = f"no label {', '.join(map(str, unknown or wanted or ()))}"
        raise InputError(str(path), found, f"one of {', '.join(map(str, present[:30]))}", "correct `labels`")
    absent = [label for label in (names.names if wanted is None else wanted) if label not in present]
    return Segments(
        label_map=label_map, names=names, present=tuple(present), labels=tuple(labels), absent=tuple(sorted(absent))
    )

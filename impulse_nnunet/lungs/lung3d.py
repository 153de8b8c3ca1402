"""Reading Lung3D: one folder of NIfTI files a case, or one .npz file a case, and lung3d.csv with ``pid,subset``."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.grid import FileGrid, read_file_grid
from impulse_nnunet.io.label_maps import as_labels, read_label_map
from impulse_nnunet.io.same_grid import check_same_grid
from impulse_nnunet.lungs.anatomy import BAV, LOBE_OF_SEGMENT, TREE_FOLDERS_OF_BAV
from impulse_nnunet.lungs.checks import check_lobes, check_not_empty
from impulse_nnunet.lungs.label_mapping import LabelMapping

ENDING = ".nii.gz"
SEGMENTS_NAME, LOBES_NAME = "lungsegment", "lobe"
NEEDED = (*TREE_FOLDERS_OF_BAV.values(), LOBES_NAME, SEGMENTS_NAME)
EXTRA = ("interseg", "airway_labels", "artery_labels", "vein_labels")  # taken along where they are
SUBSETS = ("train", "val", "test")
SPLIT_FILE = "lung3d.csv"
NPZ_ERRORS = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)


@dataclass(frozen=True, kw_only=True)
class Lung3DCase:
    """A case of Lung3D.

    Args:
        name: Its ``pid``.
        subset: ``train``, ``val`` or ``test``.
        place: Folder of NIfTI files, or .npz file.
        spacing_mm: (d, h, w) of an .npz file, which has no geometry; None for NIfTI files.
    """

    name: str
    subset: str
    place: Path
    spacing_mm: tuple[float, float, float] | None

    @property
    def is_npz(self) -> bool:
        """Whether all arrays are in one .npz file."""
        return self.place.is_file()

    @property
    def sources(self) -> list[Path]:
        """The files that are there."""
        return [self.place] if self.is_npz else [self.file(name) for name in self.names()]

    def names(self) -> list[str]:
        """Label maps that are there."""
        if not self.is_npz:
            return [name for name in (*NEEDED, *EXTRA) if self.file(name).is_file()]
        with self._open() as content:
            return [name for name in (*NEEDED, *EXTRA) if name in content.files]

    def file(self, name: str) -> Path:
        """A NIfTI file of the case."""
        return self.place / f"{name}{ENDING}"

    def read(self) -> dict[str, np.ndarray]:
        """All label maps by name, (d, h, w) uint8 or uint16, on one grid.

        Raises:
            InputError: A file, key or array is missing, bad, or on another grid.
        """
        return self._read_npz() if self.is_npz else self._read_folder()

    def grid(self, shape: Sequence[int]) -> FileGrid:
        """The grid of the case; for an .npz file made of the spacing, axes along LPS."""
        if self.spacing_mm is None:
            return read_file_grid(self.file(SEGMENTS_NAME))
        return FileGrid.at_world_origin(shape, self.spacing_mm)

    def _read_folder(self) -> dict[str, np.ndarray]:
        maps = {name: read_label_map(self.file(name)) for name in {*NEEDED, *self.names()}}
        segments = maps[SEGMENTS_NAME]
        for found in maps.values():
            check_same_grid(found.grid, segments.grid, str(found.path), str(segments.path))
        return {name: found.labels for name, found in maps.items()}

    def _read_npz(self) -> dict[str, np.ndarray]:
        with self._open() as content:
            missing = [name for name in NEEDED if name not in content.files]
            if missing:
                raise InputError(
                    str(self.place), f"no key {missing[0]!r}", f"the keys {', '.join(NEEDED)}", "replace the file"
                )
            arrays = {name: content[name] for name in self.names()}
        maps = {name: as_labels(array, f"{self.place}, {name}") for name, array in arrays.items()}
        shape = maps[SEGMENTS_NAME].shape
        other = next((name for name, array in maps.items() if array.shape != shape), None)
        if other is not None:
            raise InputError(
                f"{self.place}, {other}",
                f"shape {maps[other].shape}",
                f"{shape} as of {SEGMENTS_NAME}",
                "replace the file",
            )
        return maps

    @contextmanager
    def _open(self) -> Iterator[Any]:
        try:
            with np.load(self.place, allow_pickle=False) as content:
                yield content
        except NPZ_ERRORS as error:
            if isinstance(error, InputError):
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                str(self.place), f"an unreadable file ({reason[:120]})", "a .npz file of arrays", "replace the file"
            ) from error


def read_lung3d(
    folder: Path, split: Path | None = None, spacing_mm: tuple[float, float, float] | None = None
) -> list[Lung3DCase]:
    """List the cases of a Lung3D folder by its split file; nothing but names is read.

    Args:
        folder: Holds a folder or a .npz file for each case.
        split: The split file; by default lung3d.csv in ``folder``, or beside it.
        spacing_mm: (d, h, w) of .npz files.

    Raises:
        InputError: No cases, a bad split file, a split that names absent cases or lacks present ones.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", "the folder of Lung3D", "check the path")
    places = {path.parent.name: path.parent for name in NEEDED for path in sorted(folder.glob(f"*/{name}{ENDING}"))}
    if not places:
        places = {path.stem: path for path in sorted(folder.glob("*.npz"))}
        if places and spacing_mm is None:
            raise InputError(
                str(folder),
                ".npz files, which have no voxel size",
                "`spacing_mm` Z Y X",
                "give it: distances need it",
            )
    elif spacing_mm is not None:
        raise InputError("`spacing_mm`", "NIfTI files, which have a spacing", ".npz files", "leave it out")
    if not places:
        found = "neither CASE/lungsegment.nii.gz nor CASE.npz"
        raise InputError(str(folder), found, "Lung3D's cases", "check the path")
    path = split or next((p for p in (folder / SPLIT_FILE, folder.parent / SPLIT_FILE) if p.is_file()), None)
    if path is None:
        raise InputError(str(folder), f"no {SPLIT_FILE}", "one with the columns pid,subset", "give `split` FILE")
    subsets = read_subsets(path)
    absent, without = sorted(set(subsets) - set(places)), sorted(set(places) - set(subsets))
    for names, found in ((absent, "that are not in the folder"), (without, "of the folder without a row")):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise InputError(
                str(path),
                f"{len(names)} case(s) {found} ({', '.join(names[:3])}{more})",
                f"one row for each case in {folder}",
                "complete the folder or correct the split file",
            )
    return [
        Lung3DCase(name=name, subset=subsets[name], place=places[name], spacing_mm=spacing_mm)
        for name in sorted(places)
    ]


def read_subsets(path: Path) -> dict[str, str]:
    """The split file: case -> ``train``, ``val`` or ``test``.

    Raises:
        InputError: It is missing or ill-formed, or names no training case.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = [[cell.strip() for cell in row] for row in csv.reader(stream) if any(cell.strip() for cell in row)]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(str(path), "no readable file", "a table with the columns pid,subset", "check it") from error
    header = [cell.lower() for cell in rows[0]] if rows else []
    if "pid" not in header or "subset" not in header:
        raise InputError(str(path), f"the columns {', '.join(header) or 'none'}", "pid,subset", "correct the file")
    pid, subset = header.index("pid"), header.index("subset")
    subsets: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        name, value = (row[column] if column < len(row) else "" for column in (pid, subset))
        if value not in SUBSETS or not name or name in subsets:
            found = f"{name} twice" if name in subsets else f"{name!r} and {value!r}"
            raise InputError(
                f"{path}, row {number}", found, f"a case, once, and {', '.join(SUBSETS)}", "correct the file"
            )
        subsets[name] = value
    if "train" not in subsets.values():
        raise InputError(str(path), "no training case", "rows with subset train", "correct the file")
    return subsets


def checked_masks(case: Lung3DCase, maps: dict[str, np.ndarray], lobes: LabelMapping) -> dict[str, np.ndarray]:
    """Check a case and make its masks: lobes, bronchi, arteries and veins.

    Args:
        case: The case.
        maps: Maps as :meth:`Lung3DCase.read` gives them.
        lobes: Which values of the lobe map are which lobe.

    Returns:
        Name -> (d, h, w) bool.

    Raises:
        InputError: Labels outside 0 to 18, no segments, an empty mask, or lobes that do not match the segments.
    """
    segments, where = maps[SEGMENTS_NAME], str(case.place if case.is_npz else case.file(SEGMENTS_NAME))
    largest = len(LOBE_OF_SEGMENT) - 1
    if segments.max(initial=0) > largest:
        raise InputError(
            where, f"label {segments.max()}", f"0 to {largest}, the pulmonary segments", "correct the label map"
        )
    if not segments.any():
        raise InputError(where, "no segment", f"labels 1 to {largest}", "correct the file or leave the case out")
    trees = {name: maps[TREE_FOLDERS_OF_BAV[name]] > 0 for name in BAV}
    check_not_empty(case.name, trees, strict=True, predicted=False)
    index = lobes.index_map(maps[LOBES_NAME], str(case.place if case.is_npz else case.file(LOBES_NAME)))
    masks = {name: index == number for number, name in enumerate(lobes.values, 1)}
    check_lobes(case.name, segments, masks, truth=True)
    return masks | trees

"""Airway and vessel masks beside a label map: which files belong to a case, and reading them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.label_maps import LabelMap, read_label_map
from impulse_nnunet.io.listing import cases_in
from impulse_nnunet.io.same_grid import check_same_grid

TREE_WORDS = re.compile(r"airway|bronch|trachea|arter|vein|venous|vessel|interseg|aorta|vena|portal", re.IGNORECASE)
FIRST_TREES = ("airway", "bronchus", "artery", "vein", "interseg")  # first the one that lies over the others
EXPECTED = "a folder with airway/CASE.*, artery/CASE.*, ... or with airway.*, artery.*, ... of one case"


def tree_folder(folder: Path) -> Path:
    """The folder, if it is one.

    Raises:
        InputError: No such folder.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", EXPECTED, "check `trees`")
    return folder


def trees_of(case: str, folder: Path, labels: Path) -> dict[str, Path]:
    """Tree -> file, of a case.

    Args:
        case: Identifier.
        folder: Holds ``airway/CASE.*``, ``artery/CASE.*``, ...; or ``airway.*``, ``artery.*``, ... of this case, in the
            folder itself or in ``CASE/``. Names of folders and files tell trees from others (:data:`TREE_WORDS`).
        labels: The case's label map, which is none of them.

    Raises:
        InputError: No such folder, no tree of the case, or one tree lacks it that others have.
    """
    inner = sorted(entry.name for entry in tree_folder(folder).iterdir() if entry.is_dir() and _is_tree(entry.name))
    files = {name: cases_in(folder / name) for name in _first_known(inner)}
    found = {name: cases[case] for name, cases in files.items() if case in cases}
    missing = next((name for name in inner if found and name not in found), None)
    if missing is not None:
        raise InputError(case, f"no {missing} file in {folder}", "one for each tree", "add it, or leave that tree out")
    for place in (folder / case, folder):
        named = {name: path for name, path in _named_as_trees(place).items() if path.resolve() != labels.resolve()}
        found = found or {name: named[name] for name in _first_known(sorted(named))}
    if not found:
        expected = f"airway/{case}.*, artery/{case}.*, ... or airway.*, artery.*, ..."
        raise InputError(str(folder), f"no tree of case {case}", expected, "add the files or leave `trees` out")
    return found


def read_trees(files: Mapping[str, Path], reference: LabelMap) -> dict[str, np.ndarray]:
    """Tree -> its voxels, (d, h, w) bool, on the grid of the reference.

    Raises:
        InputError: A file that cannot be read, or lies on another grid.
    """
    found = {}
    for name, path in files.items():
        tree = read_label_map(path)
        check_same_grid(tree.grid, reference.grid, str(path), str(reference.path))
        found[name] = tree.labels > 0
    return found


def _named_as_trees(folder: Path) -> dict[str, Path]:
    """Name -> file, of a folder's label maps that are called like airways or vessels."""
    maps = cases_in(folder) if folder.is_dir() else {}
    return {name: path for name, path in maps.items() if _is_tree(name)}


def _is_tree(name: str) -> bool:
    """Whether a name is that of airways or vessels; Lung3D's files that end in _labels have each branch's segment."""
    return TREE_WORDS.search(name) is not None and not name.endswith("_labels")


def _first_known(names: list[str]) -> list[str]:
    return [name for name in FIRST_TREES if name in names] + [name for name in names if name not in FIRST_TREES]

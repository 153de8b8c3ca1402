"""Bronchi and vessels beside a label map: folders with fixed names, one a tree, with label maps of the same cases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.label_maps import LabelMap, read_label_map
from impulse_nnunet.io.listing import cases_in
from impulse_nnunet.io.same_grid import check_same_grid

TREES = ("airway", "artery", "vein", "interseg")  # as `impulse_nnunet phantom` and Lung3D's conversion name them
EXPECTED = f"some of the folders {', '.join(TREES)} with label maps of the cases"


def find_trees(folder: Path) -> dict[str, dict[str, Path]]:
    """Tree -> case -> file, of the folders with the names in :data:`TREES`; others are left alone.

    Raises:
        InputError: No such folder, or no folder with label maps in it.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", EXPECTED, "check `trees`")
    found = {name: cases_in(folder / name) for name in TREES if (folder / name).is_dir()}
    trees = {name: cases for name, cases in found.items() if cases}
    if not trees:
        raise InputError(str(folder), "no label maps of trees", EXPECTED, "check `trees`")
    return trees


def trees_of(case: str, trees: Mapping[str, Mapping[str, Path]]) -> dict[str, Path]:
    """The files of a case.

    Raises:
        InputError: A tree that lacks the case.
    """
    missing = next((name for name, files in trees.items() if case not in files), None)
    if missing is not None:
        raise InputError(case, f"no {missing} file", "one for each tree", "add it, or leave that tree out")
    return {name: files[case] for name, files in trees.items()}


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

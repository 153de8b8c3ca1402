"""Which files belong to a case: image, trees and lesion beside a label map."""

from __future__ import annotations

from pathlib import Path

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.formats import LABEL_MAP_ENDINGS
from impulse_nnunet.io.listing import cases_in, find_image
from impulse_nnunet.outputs.page.case import TREE_WORDS, PageFiles

TREE_NAMES = ("airway", "bronchus", "artery", "vein", "interseg")  # first the one that lies over the others


def case_files(
    case: str, labels: Path, *, images: Path | None = None, trees: Path | None = None, lesion: Path | None = None
) -> PageFiles:
    """The files of a case.

    Args:
        case: Identifier.
        labels: Its label map.
        images: A file, or a folder with CASE_0000.* or CASE.*; None for none.
        trees: A folder: airway/CASE.*, artery/CASE.*, ...; or airway.*, artery.*, ... of this case in it, or in
            CASE/ in it.
        lesion: A file, or a folder with CASE.*.

    Raises:
        InputError: What was asked for is not there.
    """
    return PageFiles(
        case=case,
        labels=labels,
        image=None if images is None else _image(images, case),
        trees={} if trees is None else _trees(trees, case, labels),
        lesion=None if lesion is None else _one(lesion, case, "`lesion`"),
    )


def _image(place: Path, case: str) -> Path:
    found = find_image(place, case) if place.is_dir() else None
    return _one(place, case, "`ct`") if found is None else found


def _one(place: Path, stem: str, setting: str) -> Path:
    """A file itself, or the file of a case in a folder."""
    if place.is_file():
        return place
    if not place.is_dir():
        raise InputError(setting, f"{place}, which does not exist", "a file or a folder", "check the path")
    found = _found(place, stem)
    if found is None:
        names = f"{stem}_0000.* or {stem}.*" if setting == "`ct`" else f"{stem}.*"
        raise InputError(str(place), f"nothing of case {stem}", names, f"add the file or leave {setting} out")
    return found


def _found(folder: Path, stem: str) -> Path | None:
    return next(
        (folder / (stem + ending) for ending in LABEL_MAP_ENDINGS if (folder / (stem + ending)).is_file()), None
    )


def _trees(folder: Path, case: str, labels: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError("`trees`", f"{folder}, which is not a folder", "a folder of masks", "check the path")
    inner = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and _is_tree(entry.name))
    found = {name: path for name in _first_known(inner) if (path := _found(folder / name, case)) is not None}
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


def _named_as_trees(folder: Path) -> dict[str, Path]:
    """Name -> file, of a folder's label maps that are called like airways or vessels."""
    maps = cases_in(folder) if folder.is_dir() else {}
    return {name: path for name, path in maps.items() if _is_tree(name)}


def _is_tree(name: str) -> bool:
    """Whether a name is that of airways or vessels; Lung3D's files that end in _labels have each branch's segment."""
    return TREE_WORDS.search(name) is not None and not name.endswith("_labels")


def _first_known(names: list[str]) -> list[str]:
    return [name for name in TREE_NAMES if name in names] + [name for name in names if name not in TREE_NAMES]

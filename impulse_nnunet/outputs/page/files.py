"""Which files belong to a case: image, trees and lesion beside a label map."""

from __future__ import annotations

from pathlib import Path

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.formats import LABEL_MAP_ENDINGS
from impulse_nnunet.io.listing import find_image
from impulse_nnunet.outputs.page.case import PageFiles
from impulse_nnunet.outputs.trees import trees_of


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
        trees={} if trees is None else trees_of(case, trees, labels),
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

"""Which series of a folder are cases: one a study, the largest of the wanted modality, or those that a user names."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dicom.headers import IMAGES_OF, Header, dicom_files, digest, read_header

LOCALIZER = "LOCALIZER"
FEWEST_SLICES = 3
TWICE = "the same series of two patients or studies"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Series:
    """The files of one series, in no order.

    Args:
        headers: At least one.
        unreadable: Files beside them that may belong to it, and that GDCM does not read.
    """

    headers: tuple[Header, ...]
    unreadable: int = 0

    @property
    def uid(self) -> str:
        """SeriesInstanceUID."""
        return self.headers[0].text("series")

    @property
    def modality(self) -> str:
        """``CT``, ``MR``, ..."""
        return self.headers[0].text("modality") or "unknown"

    @property
    def name(self) -> str:
        """The name as a case, e.g. ``ct_3f9a0c2b71de``: the same at any time and place, and without patient data."""
        return f"{self.modality.lower()}_{digest(self.uid)}"

    @property
    def study(self) -> tuple[str, str]:
        """Patient and study."""
        return self.headers[0].patient, self.headers[0].text("study")

    @property
    def is_localizer(self) -> bool:
        """Whether it is a scout."""
        return LOCALIZER in self.headers[0].text("image_type").upper().split("\\")

    @property
    def voxels(self) -> float:
        """Its size."""
        return sum(header.number("rows") * header.number("columns") for header in self.headers)

    def is_called(self, text: str) -> bool:
        """Whether a user means it: by its UID or its name."""
        return text in (self.uid, self.name)


def series_in(folder: Path) -> list[Series]:
    """All series of images below a folder, in the order of their UIDs.

    Raises:
        InputError: No such folder, or no series in it.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", "a folder of DICOM files", "check the path")
    groups: dict[tuple[str, str, str], list[Header]] = {}
    unreadable: dict[Path, int] = {}
    for path, storage in dicom_files(folder):
        header = read_header(path)
        if header is not None and header.text("series"):
            key = (header.patient, header.text("study"), header.text("series"))
            groups.setdefault(key, []).append(header)
        elif header is None and (not storage or any(storage in images for images in IMAGES_OF.values())):
            unreadable[path.parent] = unreadable.get(path.parent, 0) + 1
    if not groups:
        raise InputError(str(folder), "no DICOM image that can be read", "a series of slices", "check the path")
    in_order = sorted(groups.items(), key=lambda item: item[0][::-1])
    return [_with_neighbours(headers, unreadable) for _, headers in in_order]


def choose(
    folder: Path, found: Sequence[Series], modality: str, wanted: Sequence[str] = ()
) -> tuple[dict[str, Series], dict[str, str]]:
    """The series that are cases.

    Args:
        folder: Where they lie, for messages.
        found: All series.
        modality: ``CT`` or ``MR``.
        wanted: UIDs or names of series, each a case; by default the largest of each study that has the modality.

    Returns:
        Case -> series, and for patients without any such series the reason by the study's name.

    Raises:
        InputError: A wanted series is not there or of another modality, or there is none of the modality at all.
    """
    if wanted:
        return {series.name: series for series in (_named(folder, found, modality, text) for text in wanted)}, {}
    usable = [series for series in found if series.modality == modality]
    if not usable:
        wants = f"{modality}, which the model takes"
        raise InputError(str(folder), _modalities(found), wants, "give a folder with such a series")
    studies: dict[tuple[str, str], list[Series]] = {}
    for series in usable:
        studies.setdefault(series.study, []).append(series)
    cases: dict[str, Series] = {}
    for largest in map(_largest, studies.values()):
        if largest.name in cases:
            raise InputError(largest.name, TWICE, "one", "keep one of them in the folder")
        cases[largest.name] = largest
    return dict(sorted(cases.items())), _without(found, usable, modality)


def _with_neighbours(headers: Sequence[Header], unreadable: Mapping[Path, int]) -> Series:
    folders = {header.file.parent for header in headers}
    return Series(headers=tuple(headers), unreadable=sum(unreadable.get(folder, 0) for folder in folders))


def _named(folder: Path, found: Sequence[Series], modality: str, text: str) -> Series:
    series = [series for series in found if series.is_called(text)]
    if not series:
        names = ", ".join(one.name for one in found if one.modality == modality) or f"no {modality}"
        raise InputError(f"`series` {text:.64}", "no such series", f"one in {folder} ({names:.300})", "correct it")
    if len(series) > 1:
        raise InputError(series[0].name, TWICE, "one", "keep one of them in the folder")
    if series[0].modality != modality:
        there, wants = f"a series of {series[0].modality}", f"{modality}, which the model takes"
        raise InputError(f"`series` {text:.64}", there, wants, "choose another")
    return series[0]


def _largest(several: Sequence[Series]) -> Series:
    """The largest series but scouts; of equal ones that with the lowest number."""
    order = sorted(
        several, key=lambda one: (one.is_localizer, -one.voxels, one.headers[0].number("series_number"), one.uid)
    )
    others = [one for one in order[1:] if not one.is_localizer and len(one.headers) >= FEWEST_SLICES]
    if others:
        names = ", ".join(f"{one.name} ({len(one.headers)})" for one in others)
        chosen = f"{order[0].name}, {len(order[0].headers)} slices, is the largest series of its study"
        logger.warning("%s and was taken; also there: %s; choose by `series`", chosen, names)
    return order[0]


def _without(found: Sequence[Series], usable: Sequence[Series], modality: str) -> dict[str, str]:
    """Why patients without a usable series have no case."""
    served = {series.headers[0].patient for series in usable}
    reasons = {}
    for study in dict.fromkeys(series.study for series in found if series.headers[0].patient not in served):
        name = f"study_{digest(study[1])}"
        there = _modalities([series for series in found if series.study == study])
        reasons[name] = str(InputError(name, there, f"a series of {modality}", "leave the patient out"))
    return reasons


def _modalities(found: Sequence[Series]) -> str:
    names = sorted({series.modality for series in found})
    return f"{len(found)} series of {', '.join(names)}"

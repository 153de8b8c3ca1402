"""What lies in a folder of images and is not read, and why: no patient may be missing without a word.

Files that are not images (tables, text, JSON), and what operating systems leave (``._NAME``, ``.DS_Store``,
``Thumbs.db``), are of no interest. A file that is not read counts as a patient who is left out, unless a case of the
same name is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from impulse_nnunet.io.listing import CHANNEL_AT_END, CHANNEL_OF_FILE, channel_files, is_hidden

VOLUME_ENDINGS = (
    *(".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr", ".img", ".mgz", ".mgh", ".mnc", ".gipl", ".gipl.gz"),
    *(".tiff", ".tif", ".npz", ".npy", ".h5", ".b2nd"),
)
DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
DICOM_MARK, DICOM_MARK_AT = b"DICM", 128  # DICOM PS3.10, section 7.1
LOOKED_INTO = 200  # entries of a folder in the folder; files without a known ending that are opened
SHOWN = 3
DICOM = "DICOM, which is not read; convert each series to one file"


@dataclass(frozen=True, kw_only=True)
class NotRead:
    """A file or folder that is not read.

    Args:
        name: In the folder of images; of many alike, ``N files like NAME``.
        why: And what to do.
        is_patient: Whether a patient is left out with it.
    """

    name: str
    why: str
    is_patient: bool = True

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


def not_read(folder: Path, ending: str) -> list[NotRead]:
    """What is not read of a folder of images whose files should be named ``CASE_0000`` + ``ending``."""
    cases = {case for case in channel_files(folder, ending) if case}
    found: list[NotRead] = []
    dicom: list[str] = []
    unknown = 0
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if is_hidden(entry.name):
                continue
            if entry.is_dir():
                why = _folder(Path(entry.path), ending)
            elif _ending_of(entry.name, ending) is None:
                unknown += 1
                why = DICOM if unknown <= LOOKED_INTO and _is_dicom(entry.path) else ""
            else:
                why = _file(entry.name, ending)
            if why == DICOM and not entry.is_dir():
                dicom.append(entry.name)
            elif why:
                found.append(NotRead(name=entry.name, why=why, is_patient=_case_of(entry.name, ending) not in cases))
    if dicom:
        name = dicom[0] if len(dicom) == 1 else f"{len(dicom)} files like {dicom[0]}"
        found.insert(0, NotRead(name=name, why=f"{DICOM} {ending}"))
    return found


def incomplete(cases: Mapping[str, Sequence[str]], number_of_channels: int) -> dict[str, str]:
    """Cases that lack channels, or have too many: case -> which files it has in words."""
    wanted = list(range(number_of_channels))
    found = {}
    for case, files in cases.items():
        numbers = [int(match[1]) for match in map(CHANNEL_OF_FILE.search, files) if match]
        if numbers != wanted:
            names = ", ".join(f"_{number:04d}" for number in numbers) or "none"
            found[case] = f"channels {names}, expected " + ", ".join(f"_{number:04d}" for number in wanted)
    return found


def left_out_line(folder: Path, found: Sequence[NotRead]) -> str:
    """One line on the patients that are left out; empty if none is."""
    names = [one.name for one in found if one.is_patient]
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    what = "file or folder" if len(names) == 1 else "files or folders"
    return f"{len(names)} {what} of {folder} left out: {', '.join(names[:SHOWN])}{more}"


def _file(name: str, ending: str) -> str:
    """Why a file of a known kind is not read; empty if it is read, or is not an image."""
    found = _ending_of(name, ending) or ""
    stem = name[: len(name) - len(found)]
    if found in DICOM_ENDINGS or found.lower() in DICOM_ENDINGS:
        return DICOM
    if name.endswith(ending):
        if CHANNEL_AT_END.search(stem):
            return "" if stem[:-5] else f"no name before the channel's number; name it CASE_0000{ending}"
        return f"no channel's number in its name; name it {stem}_0000{ending}"
    if found.lower() == ending.lower():
        return f"the ending {found}, expected {ending}, small and capital letters as they are; rename it"
    return f"the ending {found}, expected {ending}; convert it"


def _folder(folder: Path, ending: str) -> str:
    """Why a folder is of interest; empty if no image is seen in it."""
    with os.scandir(folder) as entries:
        inside = [entry for entry in islice(entries, LOOKED_INTO) if entry.is_file() and not is_hidden(entry.name)]
    for entry in inside:
        found = _ending_of(entry.name, ending)
        if _is_dicom(entry.path) if found is None else found.lower() in DICOM_ENDINGS:
            return f"a folder with DICOM, which is not read; convert each series to one file {ending}"
    if any(_ending_of(entry.name, ending) for entry in inside):
        return "a folder with images, which is not looked into; give it as a folder of its own, or move them up"
    return ""


def _ending_of(name: str, ending: str) -> str | None:
    """The ending of a volume or DICOM file, as it is written; None of other files."""
    lower = name.lower()
    known: Iterator[str] = (e for e in (ending.lower(), *VOLUME_ENDINGS, *DICOM_ENDINGS) if lower.endswith(e))
    found = next(known, None)
    return None if found is None else name[-len(found) :]


def _case_of(name: str, ending: str) -> str:
    """The case that a file would belong to."""
    stem = name[: len(name) - len(_ending_of(name, ending) or "")]
    return CHANNEL_AT_END.sub("", stem)


def _is_dicom(path: str) -> bool:
    try:
        with open(path, "rb") as stream:
            head = stream.read(DICOM_MARK_AT + len(DICOM_MARK))
    except OSError:
        return False
    return head[DICOM_MARK_AT:] == DICOM_MARK

"""NRRD and MetaImage files whose header has no orientation, or lengths in another unit than mm.

ITK reads both without a word: axes along the patient's, every length in mm.
"""

from __future__ import annotations

import re
from pathlib import Path

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.assumption import may_assume_orientation

LONGEST_HEADER = 65536  # bytes that are looked at
NRRD = (".nrrd", ".nhdr")
META_IMAGE = (".mha", ".mhd")
ORIENTATIONS = {
    NRRD: (rb"^space directions:", "no 'space directions'"),
    META_IMAGE: (rb"^(TransformMatrix|Rotation|Orientation)\s*=", "no TransformMatrix"),
}
UNITS = {NRRD: rb"^space units:\s*(.*)$", META_IMAGE: rb"^DistanceUnits\s*=\s*(.*)$"}
MILLIMETRES = re.compile(rb'[\s"]*(mm|millimet(er|re)s?)?[\s"]*|[\s"]*\?[\s"]*', re.IGNORECASE)


def check_text_header(path: str | Path) -> bool:
    """Refuse such a file; files of other formats pass.

    Returns:
        Whether there is no orientation, and the user lets it be assumed.

    Raises:
        InputError: Naming what is missing, or the unit.
    """
    endings = next((endings for endings in ORIENTATIONS if str(path).lower().endswith(endings)), None)
    if endings is None:
        return False
    header = _header(path, b"\n\n" if endings is NRRD else b"ElementDataFile")
    pattern, found = ORIENTATIONS[endings]
    missing = not re.search(pattern, header, re.MULTILINE)
    if missing and not may_assume_orientation():
        remedy = "correct the header, or add `assume_orientation` (LPS)"
        raise InputError(str(path), f"{found} in the header, so no orientation", "the directions of its axes", remedy)
    unit = re.search(UNITS[endings], header, re.MULTILINE)
    if unit and not all(MILLIMETRES.fullmatch(word) for word in unit[1].split()):
        raise InputError(str(path), f"lengths in {unit[1].decode('latin-1')!r:.60}", "mm", "convert the file")
    return missing


def _header(path: str | Path, end: bytes) -> bytes:
    with Path(path).open("rb") as file:
        content = file.read(LONGEST_HEADER).replace(b"\r\n", b"\n")
    return content.split(end, 1)[0]

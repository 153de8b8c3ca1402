"""Codes of anatomical names, for files that carry them: those that were checked, and a private scheme for the rest.

Sources (docs/dicom.md has the table): SNOMED CT as DICOM PS3.16 has it in CID 6170 (lobes), 6127 (segments) and 4031;
FMA as the part lists of BodyParts3D have it. No code was written from memory.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from impulse_nnunet.outputs.names import SEGMENT, WORD, lobe_by_name

SNOMED, FMA, PRIVATE = "SCT", "FMA", "99IMPULSE"
LONGEST_VALUE, LONGEST_MEANING = 16, 64  # characters of SH and LO


@dataclass(frozen=True)
class Code:
    """A coded concept.

    Args:
        value: The code.
        scheme: ``SCT``, ``FMA`` or ``99IMPULSE``.
        meaning: In words.
    """

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class CodedName:
    """What a label's name means.

    Args:
        kind: Of structure.
        side: Right or left, where the kind does not say it.
    """

    kind: Code
    side: Code | None = None

    @property
    def is_private(self) -> bool:
        """Whether there is no checked code."""
        return self.kind.scheme == PRIVATE


ANATOMY = Code("91723000", SNOMED, "Anatomical Structure")
SIDES = {"right": Code("24028007", SNOMED, "Right"), "left": Code("7771000", SNOMED, "Left")}
LOBES = {
    "upper": Code("45653009", SNOMED, "Upper lobe of lung"),
    "middle": Code("72481006", SNOMED, "Middle lobe of right lung"),
    "lower": Code("90572001", SNOMED, "Lower lobe of lung"),
}
STRUCTURES = {
    "lung": Code("39607008", SNOMED, "Lung"),
    "trachea": Code("44567001", SNOMED, "Trachea"),
    "bronchus": Code("955009", SNOMED, "Bronchus"),
    "pulmonary artery": Code("81040000", SNOMED, "Pulmonary artery"),
    "pulmonary vein": Code("122972007", SNOMED, "Pulmonary vein"),
}
SEGMENTS: Mapping[tuple[str, str], Code] = {  # by side and Boyden's number; right S7 and left S7+8 have no checked code
    ("right", "1"): Code("7338", FMA, "Right apical bronchopulmonary segment"),
    ("right", "2"): Code("3236000", SNOMED, "Posterior segment of right upper lobe"),
    ("right", "3"): Code("39743006", SNOMED, "Anterior segment of right upper lobe"),
    ("right", "4"): Code("7361", FMA, "Lateral bronchopulmonary segment"),
    ("right", "5"): Code("7360", FMA, "Medial bronchopulmonary segment"),
    ("right", "6"): Code("7366", FMA, "Right superior bronchopulmonary segment"),
    ("right", "8"): Code("7364", FMA, "Right anterior basal bronchopulmonary segment"),
    ("right", "9"): Code("7363", FMA, "Right lateral basal bronchopulmonary segment"),
    ("right", "10"): Code("7362", FMA, "Right posterior basal bronchopulmonary segment"),
    ("left", "1+2"): Code("7372", FMA, "Apicoposterior bronchopulmonary segment"),
    ("left", "3"): Code("22270008", SNOMED, "Anterior segment of left upper lobe"),
    ("left", "4"): Code("7374", FMA, "Superior lingular bronchopulmonary segment"),
    ("left", "5"): Code("7375", FMA, "Inferior lingular bronchopulmonary segment"),
    ("left", "6"): Code("7376", FMA, "Left superior bronchopulmonary segment"),
    ("left", "8"): Code("7378", FMA, "Left anterior basal bronchopulmonary segment"),
    ("left", "9"): Code("7379", FMA, "Left lateral basal bronchopulmonary segment"),
    ("left", "10"): Code("7380", FMA, "Left posterior basal bronchopulmonary segment"),
}


def coded(name: str) -> CodedName:
    """The code of a label's name, e.g. ``right S1``, ``LS1+2``, ``lung_upper_lobe_left``, ``left lung``."""
    text = name.strip().lower()
    segment = SEGMENT.fullmatch(text)
    if segment is not None:
        side = "right" if segment[1].startswith("r") else "left"
        known = SEGMENTS.get((side, "+".join(str(int(number)) for number in segment.groups()[1:] if number)))
        whole = text[-1].isdigit()  # S1a is a part of the segment
        return CodedName(known if known and whole else _private(name))
    lobe = lobe_by_name(name)
    if lobe is not None and lobe != "left middle lobe":
        side, level, _ = lobe.split()
        return CodedName(LOBES[level], None if level == "middle" else SIDES[side])
    words = WORD.findall(text)
    sides = [word for word in words if word in SIDES]
    kind = STRUCTURES.get(" ".join(word for word in words if word not in SIDES)) if not re.search(r"\d", text) else None
    if kind is None or len(sides) > 1:
        return CodedName(_private(name))
    return CodedName(kind, SIDES[sides[0]] if sides else None)


def _private(name: str) -> Code:
    """A code of our private scheme: the name itself in capitals, or its digest where that is too long."""
    value = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
    if not value or len(value) > LONGEST_VALUE:
        value = hashlib.sha256(name.encode()).hexdigest()[:LONGEST_VALUE].upper()
    return Code(value, PRIVATE, name[:LONGEST_MEANING])

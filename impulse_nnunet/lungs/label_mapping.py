"""Which values of a label map show what: as a user says, from a dataset.json, or from a table of a known tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dataset_json import read_dataset_json
from impulse_nnunet.io.label_maps import count_values
from impulse_nnunet.lungs.anatomy import BAV, LOBE_CODES, LOBES

NONE = "none"  # values of a mapping that show nothing of interest
ALIASES = {"bronchus": ("bronchus", "airway"), "artery": ("artery",), "vein": ("vein",)} | {
    name: (name, code.lower()) for name, code in LOBE_CODES.items()
}
# TotalSegmentator's tasks lung_vessels (1 airways, 2 airway wall, 3 arteries, 4 veins) and total (117 classes)
PRESETS: dict[str, dict[str, tuple[int, ...]]] = {
    "totalsegmentator": {
        "bronchus": (1, 2),
        "artery": (3,),
        "vein": (4,),
        "right upper lobe": (12,),
        "right middle lobe": (13,),
        "right lower lobe": (14,),
        "left upper lobe": (10,),
        "left lower lobe": (11,),
    },
    "totalsegmentator1": {  # total of version 1 (104 classes); its lung_vessels does not part arteries and veins
        "right upper lobe": (15,),
        "right middle lobe": (16,),
        "right lower lobe": (17,),
        "left upper lobe": (13,),
        "left lower lobe": (14,),
    },
}
PRESETS_IGNORE = {
    "totalsegmentator": {"bav": (), "lobes": tuple(v for v in range(1, 118) if v not in range(10, 15))},
    "totalsegmentator1": {"lobes": tuple(v for v in range(1, 105) if v not in range(13, 18))},
}


@dataclass(frozen=True)
class OtherVersion:
    """Another version of a tool's label maps, told by the values that a map holds.

    Args:
        title: What it is, for messages.
        few: Values that show organs in the version that is expected, and little or nothing in this one.
        many: The other way round.
    """

    title: str
    few: tuple[int, ...]
    many: tuple[int, ...]

    def made(self, counts: np.ndarray) -> bool:
        """Whether a map with so many voxels of each value is of this version."""
        few, many = (sum(counts[v] for v in part if v < len(counts)) for part in (self.few, self.many))
        return bool(many > CLEARLY_MORE * few)


CLEARLY_MORE = 3
# lung_vessels of older versions holds 1 and 2 only; in total, version 1 has lobes at 13 to 17 (10 to 12 are pancreas
# and adrenal glands), version 2 at 10 to 14 (15 to 17 are oesophagus, trachea and thyroid)
OTHER_VERSIONS = {
    ("totalsegmentator", "bav"): OtherVersion("an older lung_vessels (1 vessels, 2 airways)", (3, 4), (1, 2)),
    ("totalsegmentator", "lobes"): OtherVersion("version 1 (totalsegmentator1)", (10, 11, 12), (15, 16, 17)),
    ("totalsegmentator1", "lobes"): OtherVersion("version 2 (totalsegmentator)", (15, 16, 17), (10, 11, 12)),
}


@dataclass(frozen=True, kw_only=True)
class LabelMapping:
    """What the values of a label map show.

    Args:
        origin: Where this was said, for messages.
        values: What is wanted -> its values; 0 is background.
        ignored: Further values that may occur and show nothing of interest.
        complete: A map has to show everything that is wanted, since a tool that always labels it made the map.
        other: Another version of that tool's maps.
    """

    origin: str
    values: dict[str, tuple[int, ...]]
    ignored: tuple[int, ...] = ()
    complete: bool = False
    other: OtherVersion | None = None

    def __post_init__(self) -> None:
        every = [value for values in self.values.values() for value in values] + list(self.ignored)
        twice = sorted({value for value in every if every.count(value) > 1})
        if twice or 0 in every:
            found = f"value {twice[0]} twice" if twice else "value 0, which is background"
            raise InputError(self.origin, found, "each value in one place", "correct the mapping")

    def index_map(self, labels: np.ndarray, where: str) -> np.ndarray:
        """Numbers of what each voxel shows: 1 for the first of :attr:`values` and so on, 0 for nothing; uint8.

        Args:
            labels: (d, h, w) label map.
            where: The file, for messages.

        Raises:
            InputError: The map holds a value that is not named, is of another version, or lacks what it has to show.
        """
        known = {0, *self.ignored, *(value for values in self.values.values() for value in values)}
        counts = count_values(labels, max(known) + 1)
        missed = [value for value in np.flatnonzero(counts).tolist() if value not in known]
        if missed:
            raise InputError(
                where,
                f"value {missed[0]} in {counts[missed[0]]} voxels, which {self.origin} does not name",
                f"0 or {self}",
                f"complete the mapping ({NONE}={missed[0]} if it shows nothing of interest)",
            )
        self._check_complete(counts, where)
        table = np.zeros(len(counts), np.uint8)
        for number, values in enumerate(self.values.values(), 1):
            table[list(values)] = number
        return table[labels]

    def _check_complete(self, counts: np.ndarray, where: str) -> None:
        """Refuse a map of another version, and one that lacks a required value."""
        present = ", ".join(map(str, np.flatnonzero(counts).tolist()[:10]))
        if self.other is not None and self.other.made(counts):
            found, expected = f"values {present}: {self.other.title}", f"{self} as {self.origin} has them"
            raise InputError(where, found, expected, "take the preset of the version that made the map, or a new map")
        lacking = [name for name, values in self.values.items() if not counts[list(values)].any()]
        if self.complete and lacking:
            remedy = "make the map again, or name the values one by one if the patient has none"
            raise InputError(where, f"values {present}: no {' and no '.join(lacking)}", str(self), remedy)

    def __str__(self) -> str:
        parts = [f"{name}={','.join(map(str, values))}" for name, values in self.values.items()]
        return ", ".join(parts)


def mapping_from_tokens(setting: str, tokens: Sequence[str], wanted: Sequence[str]) -> LabelMapping:
    """The mapping that tokens such as ``bronchus=1,2 artery=3 vein=4`` give, or that of a tool by its name.

    Args:
        setting: Name of the argument that gives them, for messages.
        tokens: The tokens.
        wanted: What must be named: :data:`BAV` or the lobes.

    Raises:
        InputError: A token is ill-formed, something is missing or unknown.
    """
    part = "bav" if tuple(wanted) == BAV else "lobes"
    presets = [name for name in PRESETS if part in PRESETS_IGNORE[name]]
    if len(tokens) == 1 and tokens[0].lower() in presets:
        preset = tokens[0].lower()
        values = {name: PRESETS[preset][name] for name in wanted}
        other = OTHER_VERSIONS.get((preset, part))
        return LabelMapping(
            origin=f"`{setting}` {preset}",
            values=values,
            ignored=PRESETS_IGNORE[preset][part],
            complete=True,
            other=other,
        )
    short = {name: LOBE_CODES.get(name, name) for name in wanted}
    example = (
        f"{' '.join(f'{code}={number}' for number, code in enumerate(short.values(), 1))}, or {', '.join(presets)}"
    )
    values = {}
    ignored: tuple[int, ...] = ()
    for token in tokens:
        name, _, numbers = token.partition("=")
        found = _numbers(numbers)
        known = next((full for full in wanted if name.lower() in ALIASES[full]), None)
        if found is None or (known is None and name != NONE) or known in values:
            raise InputError(f"`{setting}` {token}", "no such entry", example, "correct the mapping")
        if known is None:
            ignored += found
        else:
            values[known] = found
    missing = [short[name] for name in wanted if name not in values]
    if missing:
        raise InputError(f"`{setting}`", f"no value for {missing[0]}", example, "complete the mapping")
    return LabelMapping(origin=f"`{setting}`", values={name: values[name] for name in wanted}, ignored=ignored)


def mapping_from_dataset_json(path: Path, wanted: Sequence[str], named_by: str) -> LabelMapping:
    """The mapping of the names in a dataset.json; its other labels are of no interest.

    Args:
        path: The file.
        wanted: What must be named: :data:`BAV` or the lobes.
        named_by: What says it where the file does not, for messages.

    Raises:
        InputError: The file is missing or bad, or does not name everything.
    """
    remedy = f"give {named_by}"
    labels = read_dataset_json(path, remedy=remedy)["labels"]
    try:
        numbers = {str(name).lower(): int(value) for name, value in labels.items()}
    except (ValueError, TypeError) as error:
        raise InputError(str(path), "no valid entry 'labels'", 'e.g. {"background": 0, "vein": 3}', remedy) from error
    found = _by_alias(numbers, wanted)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InputError(str(path), f"labels without {missing[0]!r}", f"{', '.join(wanted)}", remedy)
    values: dict[str, tuple[int, ...]] = {name: (found[name],) for name in wanted}
    others = tuple(value for value in numbers.values() if value != 0 and value not in found.values())
    return LabelMapping(origin=str(path), values=values, ignored=others)


def lobes_of_segments() -> LabelMapping:
    """The lobes in a map of the 18 segments."""
    return LabelMapping(origin="the table of the 18 segments", values=dict(LOBES))


def _by_alias(numbers: Mapping[str, int], wanted: Sequence[str]) -> dict[str, int]:
    return {name: numbers[alias] for name in wanted for alias in ALIASES[name] if alias in numbers}


def _numbers(text: str) -> tuple[int, ...] | None:
    parts = text.split(",")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else None

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
# TotalSegmentator's tasks lung_vessels (1 airways, 2 airway wall, 3 arteries, 4 veins) and total
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
    }
}
PRESETS_IGNORE = {"totalsegmentator": {"bav": (), "lobes": tuple(v for v in range(1, 118) if v not in range(10, 15))}}


@dataclass(frozen=True)
class LabelMapping:
    """What the values of a label map show.

    Args:
        origin: Where this was said, for messages.
        values: What is wanted -> its values; 0 is background.
        ignored: Further values that may occur and show nothing of interest.
    """

    origin: str
    values: dict[str, tuple[int, ...]]
    ignored: tuple[int, ...] = ()

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
            InputError: The map holds a value that is not named.
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
        table = np.zeros(len(counts), np.uint8)
        for number, values in enumerate(self.values.values(), 1):
            table[list(values)] = number
        return table[labels]

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
    if len(tokens) == 1 and tokens[0].lower() in PRESETS:
        preset = tokens[0].lower()
        part = "bav" if tuple(wanted) == BAV else "lobes"
        return LabelMapping(
            f"`{setting}` {preset}", {name: PRESETS[preset][name] for name in wanted}, PRESETS_IGNORE[preset][part]
        )
    short = {name: LOBE_CODES.get(name, name) for name in wanted}
    example = (
        f"{' '.join(f'{code}={number}' for number, code in enumerate(short.values(), 1))}, or {', '.join(PRESETS)}"
    )
    values: dict[str, tuple[int, ...]] = {}
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
    return LabelMapping(f"`{setting}`", {name: values[name] for name in wanted}, ignored)


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
    return LabelMapping(str(path), values, others)


def lobes_of_segments() -> LabelMapping:
    """The lobes in a map of the 18 segments."""
    return LabelMapping("the table of the 18 segments", dict(LOBES))


def _by_alias(numbers: Mapping[str, int], wanted: Sequence[str]) -> dict[str, int]:
    return {name: numbers[alias] for name in wanted for alias in ALIASES[name] if alias in numbers}


def _numbers(text: str) -> tuple[int, ...] | None:
    parts = text.split(",")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else None

"""What the labels of a label map are called, which lobes and lungs they make up, and their colours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dataset_json import find_dataset_json, read_dataset_json
from impulse_nnunet.io.json_files import read_json_object
from impulse_nnunet.io.label_maps import LARGEST_LABEL
from impulse_nnunet.io.label_scheme import LabelScheme, label_scheme
from impulse_nnunet.outputs.colours import LabelStyle, label_style

SIDES = ("right", "left")
LEVELS = ("upper", "middle", "lower")
LOBES_BY_WORD = {
    "rul": "right upper lobe",
    "rml": "right middle lobe",
    "rll": "right lower lobe",
    "lul": "left upper lobe",
    "lll": "left lower lobe",
}
# Boyden's numbers: the right lung's S1 to S3, S4 and S5, S6 to S10; the left lung's S1 to S5, S6 to S10
LAST_SEGMENTS = {"right": ((3, "upper"), (5, "middle"), (10, "lower")), "left": ((5, "upper"), (10, "lower"))}
SEGMENT = re.compile(r"(right|left|r|l)[\s_-]*s(?:egment)?[\s_-]*(\d{1,2})(?:\+(\d{1,2}))?[a-c]?")
WORD = re.compile(r"[a-z]+")
TABLE_LINE = re.compile(r"\s*(\d+)\s*[,;\t ]\s*(\S.*?)\s*$")
NAMES_EXPECTED = 'a dataset.json, JSON {"1": "right S1", ...}, or lines "1,right S1"'
UNSAFE = re.compile(r"[^\w.+-]+")


@dataclass(frozen=True, kw_only=True)
class LabelNames:
    """What labels are called.

    Args:
        names: Foreground label -> name, for those that have one.
        lobes: Lobe -> the labels that make it up; empty where nothing tells.
        lungs: ``right lung`` and ``left lung`` -> the labels that make them up; empty where nothing tells.
        ignore_label: Voxels with it belong to nothing, as dataset.json says.
        source: The file that the names come from; None for numbers.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    lobes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    lungs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    ignore_label: int | None = None
    source: Path | None = None

    def name(self, label: int) -> str:
        """A label's name, or ``label 7``."""
        return self.names.get(label, f"label {label}")

    def style(self, labels: Sequence[int]) -> LabelStyle:
        """Names and colours, one hue a lobe, of these labels and all that are named.

        A label's colour does not depend on which other named labels a case has.
        """
        every = sorted({*self.names, *labels})
        return label_style({label: self.name(label) for label in every}, self.lobes)

    def file_names(self, labels: Sequence[int]) -> dict[int, str]:
        """Label -> a name for a file without its ending, different also where capitals do not count."""
        found = {label: UNSAFE.sub("_", self.name(label)).strip("._") or f"label_{label}" for label in labels}
        folded = [name.casefold() for name in found.values()]
        return {
            label: f"{name}_{label}" if folded.count(name.casefold()) > 1 else name for label, name in found.items()
        }

    def chosen(self, wanted: Iterable[str]) -> tuple[int, ...]:
        """Labels by number or name.

        Raises:
            InputError: A text that is neither.
        """
        numbers = {name: label for label, name in self.names.items()}
        labels = []
        for text in wanted:
            label = numbers.get(text, int(text) if text.isdecimal() else 0)
            if not 1 <= label <= LARGEST_LABEL:
                known = (
                    ", ".join(f"{label} {name}" for label, name in list(self.names.items())[:30]) or "numbers from 1"
                )
                raise InputError("`labels`", repr(text), f"labels by number or name ({known})", "correct it")
            labels.append(label)
        return tuple(dict.fromkeys(labels))


def find_names(label_map: Path, given: Path | None = None) -> LabelNames:
    """Names of a label map's labels.

    Args:
        label_map: A file, or a folder of them; dataset.json is looked for beside the files and in the folder above.
        given: Read this file instead: a dataset.json, JSON of names and numbers either way round, or a table of lines
            ``label,name`` (comma, semicolon, tab or space).

    Returns:
        Without names if there is no file.

    Raises:
        InputError: A file that is not of these kinds.
    """
    if given is not None:
        return _from_file(given)
    folder = label_map if label_map.is_dir() else label_map.resolve().parent
    path = find_dataset_json(folder, folder)
    return LabelNames() if path is None else _from_dataset_json(read_dataset_json(path), path)


def named(scheme: LabelScheme, source: Path | None = None) -> LabelNames:
    """Names of a data set's labels, with lobes and lungs by their names where dataset.json does not list lobes."""
    lobes = dict(scheme.lobes) or _lobes_by_name(scheme.names)
    return LabelNames(
        names=scheme.names,
        lobes=lobes,
        lungs=_lungs(scheme.names, lobes),
        ignore_label=scheme.ignore_label,
        source=source,
    )


def lobe_by_name(name: str) -> str | None:
    """The lobe that a name says: ``right S4``, ``LS1+2``, ``lung_upper_lobe_left``, ``RML``; None for other names."""
    text = name.strip().lower()
    segment = SEGMENT.fullmatch(text)
    if segment is not None:
        side = "right" if segment[1].startswith("r") else "left"
        numbers = [int(number) for number in segment.groups()[1:] if number]
        levels = {next((level for last, level in LAST_SEGMENTS[side] if n <= last), None) for n in numbers}
        level = levels.pop() if len(levels) == 1 and min(numbers) > 0 else None
        return f"{side} {level} lobe" if level else None
    words = WORD.findall(text)
    if len(words) == 1:
        return LOBES_BY_WORD.get(words[0])
    said = [next((word for word in known if word in words), "") for known in (SIDES, LEVELS)]
    if all(said) and {"lobe", *said} <= set(words) <= {"lobe", "lung", "of", *said}:
        return f"{said[0]} {said[1]} lobe"
    return None


def _from_dataset_json(content: Mapping[str, Any], path: Path) -> LabelNames:
    try:
        return named(label_scheme(content, path), path)
    except NotImplementedError as error:
        found, remedy = "labels made of several numbers (regions)", "give a table of the label map's numbers by `names`"
        raise InputError(str(path), found, "one number a label", remedy) from error


def _from_file(path: Path) -> LabelNames:
    if not path.is_file():
        raise InputError(str(path), "no such file", NAMES_EXPECTED, "check `names`")
    if path.suffix.lower() == ".json":
        content = read_json_object(path, NAMES_EXPECTED, "check `names`")
        if "labels" in content:
            return _from_dataset_json(read_dataset_json(path), path)
        pairs = [(key, value) if str(key).isdecimal() else (value, key) for key, value in content.items()]
        return _of_pairs(pairs, path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(path), "a file that is not text", NAMES_EXPECTED, "check `names`") from error
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    matches = [TABLE_LINE.fullmatch(line) for line in lines]
    if lines and matches[0] is None and re.match(r"\s*(label|number|index|id)\b", lines[0], re.IGNORECASE):
        lines, matches = lines[1:], matches[1:]
    wrong = next((line for line, match in zip(lines, matches, strict=True) if match is None), None)
    if wrong is not None:
        raise InputError(str(path), f"line {wrong!r:.80}", NAMES_EXPECTED, "correct the file")
    return _of_pairs([(match[1], match[2]) for match in matches if match], path)


def _of_pairs(pairs: Sequence[tuple[Any, Any]], path: Path) -> LabelNames:
    """Names of (number, name) pairs."""
    try:
        names = [(int(number), str(name).strip().strip('"')) for number, name in pairs]
    except (TypeError, ValueError) as error:
        raise InputError(str(path), f"{pairs!r:.80}", NAMES_EXPECTED, "correct the file") from error
    names = sorted((number, name) for number, name in names if number != 0)
    numbers = [number for number, _ in names]
    if not names or numbers[0] < 1 or numbers[-1] > LARGEST_LABEL or not all(name for _, name in names):
        expected = f"names of labels from 1 to {LARGEST_LABEL}"
        raise InputError(str(path), f"{names!r:.80}", expected, "correct the file")
    twice = next((number for number in numbers if numbers.count(number) > 1), None)
    if twice is not None:
        raise InputError(str(path), f"label {twice} twice", "one name a label", "correct the file")
    return named(LabelScheme(dict(names)), path)


def _lobes_by_name(names: Mapping[int, str]) -> dict[str, tuple[int, ...]]:
    found = {label: lobe_by_name(name) for label, name in names.items()}
    lobes = [lobe for lobe in LOBES_BY_WORD.values() if lobe in found.values()]
    return {lobe: tuple(label for label, one in found.items() if one == lobe) for lobe in lobes}


def _lungs(names: Mapping[int, str], lobes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The right and the left lung, from lobes whose names are those of lungs, or labels called so."""
    lungs = {}
    for side in SIDES:
        members = [
            label for lobe, labels in lobes.items() if (lobe_by_name(lobe) or "").startswith(side) for label in labels
        ]
        members += [
            label for label, name in names.items() if sorted(WORD.findall(name.lower())) == sorted(["lung", side])
        ]
        if members:
            lungs[f"{side} lung"] = tuple(members)
    return lungs

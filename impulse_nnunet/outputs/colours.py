"""Colours of labels, the same in every picture.

Six hues that readers with colour vision deficiency tell apart (Okabe and Ito 2008, https://jfly.uni-koeln.de/color/);
their black and vermilion are left out: trees are grey, intrusions red. Labels of one lobe share a hue and differ in
lightness; without lobes the hues go round. Sky blue is a tint of blue and so comes last. Beyond about twenty labels
colour alone cannot tell labels apart: pictures also carry the labels' names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RGB = tuple[float, float, float]

HUES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#56B4E9")  # blue orange green purple yellow sky
INTRUSION = "#D00000"
TREE = "#7C7C7C"
# of trees on their own: pulmonary arteries carry venous blood and are drawn blue, veins red
TREE_HUES = {"artery": "#3F5FBF", "vein": "#B5413F"}
LONGEST_SHORT = 5
LUMINANCE = (0.2126, 0.7152, 0.0722)  # of red, green and blue (ITU-R BT.709)
DARKEST, LIGHTEST = -0.32, 0.58  # share of black (negative) or white that is mixed into a hue of
MIDDLE = 0.45  # this brightness; lighter hues get more black and less white
METHODS = ("#8E8E8E", "#FFFFFF", "#C9C9C9", "#6A6A6A", "#E6E6E6")  # boxes of methods: greys, no label's colour


@dataclass(frozen=True)
class LabelStyle:
    """How labels look in every picture.

    Args:
        colours: Label -> colour.
        names: Label -> name.
        lobes: Lobe -> its labels; empty if there are none.
    """

    colours: Mapping[int, RGB]
    names: Mapping[int, str]
    lobes: Mapping[str, Sequence[int]]

    @property
    def short(self) -> dict[int, str]:
        """Label -> the few letters that stand in pictures."""
        return {label: short_name(name, label) for label, name in self.names.items()}

    def colour(self, label: int) -> RGB:
        """A label's colour; that of trees for a label that nobody named."""
        return self.colours.get(label, from_hex(TREE))

    def outline(self, label: int, on_dark: bool) -> RGB:
        """A label's colour as a line: lightened or darkened where it would not stand out from its ground."""
        colour = self.colour(label)
        brightness = float(np.dot(LUMINANCE, colour))
        if on_dark:
            return _mixed(colour, max(0.0, 0.45 - brightness))
        return _mixed(colour, min(0.0, 0.42 - brightness))

    def table(self) -> np.ndarray:
        """(65536, 3): colours by label, for label maps of at most 16 bits."""
        table = np.tile(from_hex(TREE), (1 << 16, 1))
        for label, colour in self.colours.items():
            table[label] = colour
        return table


def label_style(names: Mapping[int, str], lobes: Mapping[str, Sequence[int]]) -> LabelStyle:
    """The style of a data set."""
    return LabelStyle(label_colours(list(names), lobes), names, lobes)


def tree_colour(name: str) -> RGB:
    """Colour of a tree by its name: arteries blue, veins red, all others grey."""
    return from_hex(TREE_HUES.get(name, TREE))


def short_name(name: str, label: int) -> str:
    """At most five characters: the name, its last word if that holds a digit (``right S1`` -> ``S1``), or the label."""
    last = name.split()[-1] if name.split() else ""
    if len(name) <= LONGEST_SHORT and name:
        return name
    return last if len(last) <= LONGEST_SHORT and any(letter.isdigit() for letter in last) else str(label)


def from_hex(text: str) -> RGB:
    """``#RRGGBB`` as three numbers from 0 to 1."""
    red, green, blue = (int(text[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue


def to_hex(colour: RGB) -> str:
    """Three numbers from 0 to 1 as ``#RRGGBB``."""
    return "#" + "".join(f"{round(255 * value):02X}" for value in colour)


def label_colours(labels: Sequence[int], lobes: Mapping[str, Sequence[int]] | None = None) -> dict[int, RGB]:
    """Give each label a colour.

    Args:
        labels: Foreground labels.
        lobes: Lobe -> its labels; labels in no lobe count as lobes of their own.

    Returns:
        Label -> colour, in the order of ``labels``.
    """
    families = [[label for label in members if label in set(labels)] for members in (lobes or {}).values()]
    taken = {label for family in families for label in family}
    families += [[label] for label in labels if label not in taken]
    colours: dict[int, RGB] = {}
    for start, hue in enumerate(HUES):
        sharing = [label for family in families[start :: len(HUES)] for label in family]
        colours.update(zip(sharing, _shades(from_hex(hue), len(sharing)), strict=True))
    return {label: colours[label] for label in labels}


def _shades(base: RGB, number: int) -> list[RGB]:
    """Shades of one hue; those of neighbours in the list lie far apart."""
    if number == 1:
        return [base]
    shift = 0.35 * (MIDDLE - float(np.dot(LUMINANCE, base)))
    amounts = np.linspace(DARKEST + shift, LIGHTEST + shift, number)
    order = [*range(0, number, 2), *range(1, number, 2)]
    return [_mixed(base, float(amounts[index])) for index in order]


def _mixed(base: RGB, amount: float) -> RGB:
    """Mix in white (``amount`` > 0) or black (< 0)."""
    target = 1.0 if amount > 0 else 0.0
    red, green, blue = (value + abs(amount) * (target - value) for value in base)
    return red, green, blue

"""Resections: unions of segments, their margins, and the order in which they are offered."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from impulse_nnunet.surgery.cuts import Cut, KeptVein
from impulse_nnunet.surgery.lesion import Lesion

MOST_FOR_ALL = 10  # segments of a lobe up to which every union is looked at
MOST_AT_ONCE = 4  # segments of a union in larger lobes

Pairs = Mapping[tuple[int, int], float]


@dataclass(frozen=True, kw_only=True)
class Resection:
    """A union of segments that is taken.

    Args:
        labels: The segments, ascending.
        margin_mm: From the lesion to the nearest border with a segment that stays; 0 where part of the lesion stays,
            None where nothing stays.
        margin_in_lobe_mm: The same without borders between lobes (fissures).
        holds_lesion: Whether no segment that stays holds a part of the lesion.
        sufficient_for_diameter: Whether the margin is at least the lesion's largest diameter.
        sufficient_for_margin: Whether it is at least the margin that was asked for; None if none was.
        taken_ml: Volume of the segments.
        left_ml: Of all others.
        cuts: Tree -> where it is cut.
        veins_to_keep: Intersegmental veins on the cut plane.
    """

    labels: tuple[int, ...]
    margin_mm: float | None
    margin_in_lobe_mm: float | None
    holds_lesion: bool
    sufficient_for_diameter: bool
    sufficient_for_margin: bool | None
    taken_ml: float
    left_ml: float
    cuts: Mapping[str, tuple[Cut, ...]]
    veins_to_keep: tuple[KeptVein, ...]

    @property
    def sufficient(self) -> bool:
        """Whether the margin is sufficient in every respect that was asked for."""
        return self.sufficient_for_diameter and self.sufficient_for_margin is not False

    @property
    def number_of_cuts(self) -> int:
        """Over all trees."""
        return sum(len(cuts) for cuts in self.cuts.values())


def order_of(resection: Resection) -> tuple[bool, bool, float, int]:
    """Sorts resections: margin met, lesion held, least lung lost, fewest cuts."""
    return not resection.sufficient, not resection.holds_lesion, resection.taken_ml, resection.number_of_cuts


def margin_of(
    taken: Collection[int], lesion: Lesion, planes_mm: Pairs, lobe_of: Mapping[int, str] | None = None
) -> float | None:
    """Distance from a lesion to what stays.

    Args:
        taken: Segments.
        lesion: The lesion.
        planes_mm: Distance from the lesion to the border of each pair of segments.
        lobe_of: Lobe of each segment; if given, borders between two lobes do not count.

    Returns:
        0 where a part of the lesion stays, None where nothing that counts borders on what is taken.
    """
    if not set(lesion.share_by_label) <= set(taken):
        return 0.0
    counted = [
        gap
        for (a, b), gap in planes_mm.items()
        if (a in taken) != (b in taken) and (lobe_of is None or lobe_of.get(a) == lobe_of.get(b))
    ]
    return min(counted, default=None)


def unions(
    labels: Iterable[int], planes_mm: Pairs, lobes: Mapping[str, tuple[int, ...]], lesion: Lesion
) -> list[tuple[int, ...]]:
    """All connected unions of segments of a lobe that hold a part of the lesion, and those lobes together.

    Args:
        labels: Segments that occur.
        planes_mm: Its keys are the pairs that touch.
        lobes: Lobe -> segments; what is in none is one group.
        lesion: The lesion.
    """
    present, held = set(labels), set(lesion.share_by_label)
    groups = [sorted(present & set(members)) for members in lobes.values()]
    groups.append(sorted(present - {label for group in groups for label in group}))
    groups = [group for group in groups if held & set(group)]
    touching = {frozenset(pair) for pair in planes_mm}
    found = set()
    for group in groups:
        most = len(group) if len(group) <= MOST_FOR_ALL else MOST_AT_ONCE
        for size in range(1, most + 1):
            for union in itertools.combinations(group, size):
                if held & set(union) and _connected(union, touching):
                    found.add(union)
        found.add(tuple(group))
    found.add(tuple(sorted(label for group in groups for label in group)))
    smallest = tuple(sorted(held))
    if len(groups) > 1:  # a lesion in two lobes: at least what holds it
        found.add(smallest)
    return sorted(found, key=lambda union: (len(union), union))


def _connected(union: tuple[int, ...], touching: set[frozenset[int]]) -> bool:
    reached, todo = {union[0]}, [union[0]]
    while todo:
        one = todo.pop()
        new = {other for other in union if other not in reached and frozenset((one, other)) in touching}
        reached |= new
        todo += new
    return len(reached) == len(union)

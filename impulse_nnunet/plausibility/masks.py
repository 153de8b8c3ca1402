"""Mask channels: their values and volumes, and which mask is which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from impulse_nnunet.plausibility.intervals import FEWEST_CASES, interval
from impulse_nnunet.plausibility.learned import LearnedMask
from impulse_nnunet.runtime.findings import Finding

VOLUME_FLOOR = 0.7  # of the logarithm: a factor of 2
SPREAD_FLOORS = np.array([0.1, 0.05, 0.05, 0.05, 0.05])  # log of ml, place, value of the image in units of its spread
LARGEST_SQUARE = 25.0  # of a feature's distance in standard deviations: beyond, it says no more
CLEARLY = 20.0  # difference of two assignments' squared distances
ROUNDING = 1e-3
SAME_SCALE = 2.0  # largest values of the masks of two cases differ by less
IMAGE_BELOW = -500.0  # a mask channel with such values holds a CT


@dataclass(frozen=True, kw_only=True)
class MaskFacts:
    """One mask channel of a case.

    Args:
        channel: Its number.
        values: Smallest and largest.
        whole: Values are whole numbers.
        volume_ml: Of what is not 0.
        features: Logarithm of the volume, offset from all masks' centre along LPS in units of their root mean square
            radius, mean of the image in it; empty where the mask is.
    """

    channel: int
    values: tuple[float, float]
    whole: bool
    volume_ml: float
    features: tuple[float, ...]

    @property
    def is_empty(self) -> bool:
        """Whether it shows nothing."""
        return self.volume_ml == 0


def mask_facts(
    images: np.ndarray, masks: Sequence[int], to_world: np.ndarray, image: np.ndarray | None, step: int
) -> tuple[MaskFacts, ...]:
    """Facts of the mask channels of a case.

    Args:
        images: (channel, d, h, w).
        masks: Numbers of the mask channels.
        to_world: 4 x 4, (d, h, w) indices to LPS, mm.
        image: (d, h, w), every ``step``-th voxel of the image in units of its spread; None without one.
        step: Places and means are taken from every ``step``-th voxel.
    """
    if not masks:
        return ()
    voxel_ml = abs(float(np.linalg.det(to_world[:3, :3]))) / 1000
    thinned = [np.nonzero(images[channel, ::step, ::step, ::step]) for channel in masks]
    places = [step * np.stack(indices, 1) @ to_world[:3, :3].T for indices in thinned]
    every = np.concatenate(places)
    centre = every.mean(0) if len(every) else np.zeros(3)
    radius = max(float(np.sqrt(((every - centre) ** 2).sum(1).mean())) if len(every) else 0.0, 1e-6)
    facts = []
    for channel, indices, place in zip(masks, thinned, places, strict=True):
        values = images[channel]
        volume = float(np.count_nonzero(values)) * voxel_ml
        features: tuple[float, ...] = ()
        if len(place):
            mean = 0.0 if image is None else float(image[indices].mean())
            features = (float(np.log(volume)), *((place.mean(0) - centre) / radius).tolist(), mean)
        sample = values[::step, ::step, ::step]
        whole = bool(np.abs(sample - np.rint(sample)).max() <= ROUNDING)
        facts.append(
            MaskFacts(
                channel=channel,
                values=(float(values.min()), float(values.max())),
                whole=whole,
                volume_ml=volume,
                features=features,
            )
        )
    return tuple(facts)


def learn_masks(cases: Sequence[Sequence[MaskFacts]]) -> tuple[LearnedMask, ...]:
    """What the training cases' masks have in common, channel by channel; volumes and places from five cases on."""
    learned = []
    for rows in zip(*cases, strict=True):
        low, high = min(row.values[0] for row in rows), max(row.values[1] for row in rows)
        mask = LearnedMask(
            channel=rows[0].channel,
            values=(low, high),
            whole=all(row.whole for row in rows),
            empty=len(rows) < FEWEST_CASES or any(row.is_empty for row in rows),
        )
        shown = [row.features for row in rows if row.features]
        if len(shown) >= FEWEST_CASES:
            ends = np.exp(interval([row[0] for row in shown], VOLUME_FLOOR)).round(3).tolist()
            middle, spread = np.mean(shown, axis=0), np.std(shown, axis=0, ddof=1)
            mask = replace(mask, volume_ml=tuple(ends), middle=_rounded(middle), spread=_rounded(spread))
        learned.append(mask)
    return tuple(replace(mask, unlike=_unlike(mask, learned, cases)) for mask in learned)


def judge_masks(learned: Sequence[LearnedMask], facts: Sequence[MaskFacts], titles: Mapping[int, str]) -> list[Finding]:
    """What is wrong with the mask channels of a case.

    Args:
        learned: Of the training cases.
        facts: Of the case.
        titles: What the channels show, for messages.
    """
    known = {mask.channel: mask for mask in learned}
    pairs = [(known[mask.channel], mask) for mask in facts if mask.channel in known]
    found = [finding for mask, now in pairs if (finding := _judge_mask(mask, now, titles[mask.channel]))]
    return found + _swapped(pairs, titles)


@dataclass(frozen=True, kw_only=True)
class OddMask:
    """A training case's mask channel that holds what no mask does, or not what the others do.

    Args:
        case: Identifier.
        title: What the channel shows.
        values: Smallest and largest.
        usual: The largest value of most cases' masks.
    """

    case: str
    title: str
    values: tuple[float, float]
    usual: float


def odd_masks(cases: Mapping[str, Sequence[MaskFacts]], titles: Mapping[int, str]) -> list[OddMask]:
    """Mask channels of training cases that hold an image, or other values than those of most cases."""
    odd = []
    for position, channel in enumerate(row.channel for row in next(iter(cases.values()), ())):
        rows = {case: facts[position] for case, facts in cases.items()}
        highest = [row.values[1] for row in rows.values() if not row.is_empty]
        usual, number = max(Counter(highest).items(), key=lambda item: (item[1], -item[0]), default=(1.0, 1))
        if number == 1 and len(highest) > 1:
            usual = float(np.median(highest))  # probabilities, say, of which no two cases have the same
        for case, row in rows.items():
            low, high = row.values
            other = not row.is_empty and not usual / SAME_SCALE < high < usual * SAME_SCALE
            if low < IMAGE_BELOW or other:
                odd.append(OddMask(case=case, title=titles[channel], values=row.values, usual=usual))
    return odd


def _judge_mask(learned: LearnedMask, now: MaskFacts, title: str) -> Finding | None:
    (low, high), (least, most) = now.values, learned.values
    expected = f"{'whole numbers ' if learned.whole else ''}{least:g} to {most:g}"
    if now.is_empty:
        text = f"mask channel {title} is empty, in no training case it is; check the file"
        return None if learned.empty else Finding("mask_empty", text)
    if low < least - ROUNDING or high > most + ROUNDING or (learned.whole and not now.whole):
        between = ", not all whole" if learned.whole and not now.whole else ""
        text = f"mask channel {title} has values {low:g} to {high:g}{between}; training cases have {expected}"
        return Finding("mask_values", f"{text}; store it with their values")
    if learned.volume_ml and not learned.volume_ml[0] <= now.volume_ml <= learned.volume_ml[1]:
        ends = " to ".join(f"{end:.3g}" for end in learned.volume_ml)
        text = f"mask channel {title} has {now.volume_ml:.3g} ml, expected {ends} ml by the training cases; check it"
        return Finding("mask_volume", text)
    return None


def _swapped(pairs: Sequence[tuple[LearnedMask, MaskFacts]], titles: Mapping[int, str]) -> list[Finding]:
    found = []
    for (one, now), (other, then) in combinations([pair for pair in pairs if pair[1].features], 2):
        if other.channel in one.unlike and _gain_of_swap(one, now, other, then) > CLEARLY:
            names = f"{titles[one.channel]} and {titles[other.channel]}"
            text = f"mask channels {names} look exchanged: each is like the other one in training cases"
            found.append(Finding("masks_swapped", f"{text}; check the order of the files"))
    return found


def _gain_of_swap(one: LearnedMask, now: MaskFacts, other: LearnedMask, then: MaskFacts) -> float:
    """By how much squared distances to the training cases fall if two masks are exchanged."""
    as_they_are = _distance(one, now) + _distance(other, then)
    return as_they_are - _distance(one, then) - _distance(other, now)


def _distance(learned: LearnedMask, now: MaskFacts) -> float:
    offset = np.asarray(now.features) - np.asarray(learned.middle)
    spread = np.asarray(learned.spread) + SPREAD_FLOORS
    return float(np.minimum((offset / spread) ** 2, LARGEST_SQUARE).sum())


def _unlike(mask: LearnedMask, learned: Sequence[LearnedMask], cases: Sequence[Sequence[MaskFacts]]) -> tuple[int, ...]:
    """Channels that no training case would exchange for this one."""
    unlike = []
    for other in learned:
        if other.channel == mask.channel or not (mask.middle and other.middle):
            continue
        rows = [{row.channel: row for row in case} for case in cases]
        pairs = [(row[mask.channel], row[other.channel]) for row in rows]
        both = [(now, then) for now, then in pairs if now.features and then.features]
        if both and all(_gain_of_swap(mask, now, other, then) < -CLEARLY / 2 for now, then in both):
            unlike.append(other.channel)
    return tuple(unlike)


def _rounded(numbers: np.ndarray) -> tuple[float, ...]:
    return tuple(np.round(numbers, 4).tolist())

"""Labels: volumes, places among each other, the tissue below them, the faces of the image that they touch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from impulse_nnunet.geometry.patient_axes import along_patient
from impulse_nnunet.geometry.world import positions_mm
from impulse_nnunet.plausibility.findings import named
from impulse_nnunet.plausibility.intervals import inside, interval
from impulse_nnunet.plausibility.learned import LearnedLabel, LearnedPlausibility
from impulse_nnunet.plausibility.sample import ImageSample
from impulse_nnunet.runtime.findings import Finding

VOLUME_FLOOR = 1.1  # of the logarithm: a factor of 3
TOTAL_FLOOR = 0.4  # a factor of 1.5
PLACE_FLOOR = 0.25  # root mean square radii
QUANTILES = np.linspace(0, 1, 51)
VALUE_ENDS = (2, 48)  # of the quantiles: 4 and 96 %
VALUE_FLOOR = 0.15  # of the distance between the lowest and the highest of them
LEAST_PLAUSIBLE, LEAST_OF_LABEL = 0.5, 0.2  # share of voxels with plausible values, of all labels and of one
TOUCHING_FLOOR = 0.02
EXTENT_FLOOR = 0.3  # of the logarithm: a factor of 1.35
TINY = 8  # voxels; a smaller label has no place and no values
FACES = ("right", "left", "front", "back", "foot", "head")


@dataclass(frozen=True)
class OneLabel:
    """One label of a case.

    Args:
        volume_ml: Its volume.
        place: (3,) offset from the foreground's centre along LPS, in root mean square radii; None if tiny.
        quantiles: Values of the image that it lies on, at :data:`QUANTILES`; None if tiny.
    """

    volume_ml: float
    place: np.ndarray | None
    quantiles: np.ndarray | None

    def share_within(self, ends: Sequence[float]) -> float:
        """Share of the voxels with values between two ends, to 2 %."""
        if self.quantiles is None:
            return 1.0
        within = (self.quantiles >= ends[0]) & (self.quantiles <= ends[1])
        return float(np.mean(within))


@dataclass(frozen=True, kw_only=True)
class LabelFacts:
    """The labels of a case.

    Args:
        labels: Number -> facts, of those that are there.
        touching: Share of the foreground's largest section on each of :data:`FACES`; None where faces say nothing.
        extent_mm: (3,) of the foreground along x, y, z.
    """

    labels: dict[int, OneLabel]
    touching: np.ndarray | None
    extent_mm: np.ndarray

    @property
    def volume_ml(self) -> float:
        """Of all labels."""
        return sum(label.volume_ml for label in self.labels.values())


def label_facts(
    labels: np.ndarray, counts: np.ndarray, to_world: np.ndarray, image: ImageSample, *, faces: bool, step: int
) -> LabelFacts:
    """Facts of a label map.

    Args:
        labels: (d, h, w), the ignore label taken for background.
        counts: Voxels of each label.
        to_world: 4 x 4, (d, h, w) indices to LPS, mm.
        image: What it lies on.
        faces: Whether the faces of the array are faces of the image.
        step: Places and values are taken from every ``step``-th voxel.
    """
    voxel_ml = abs(float(np.linalg.det(to_world[:3, :3]))) / 1000
    thinned = labels[::step, ::step, ::step]
    numbers = thinned[thinned > 0].astype(np.int64)
    indices = step * np.stack(np.nonzero(thinned), 1)
    world = positions_mm(indices, to_world)
    centre = world.mean(0) if len(world) else np.zeros(3)
    radius = max(float(np.sqrt(((world - centre) ** 2).sum(1).mean())) if len(world) else 0.0, 1e-6)
    values = image.at(world)
    found = {}
    for label in np.flatnonzero(counts[1:]) + 1:
        own = numbers == label
        place = quantiles = None
        if counts[label] >= TINY and own.any():
            place, quantiles = (world[own].mean(0) - centre) / radius, np.quantile(values[own], QUANTILES)
        found[int(label)] = OneLabel(float(counts[label] * voxel_ml), place, quantiles)
    extent = np.ptp(world, axis=0) + np.abs(step * to_world[:3, :3]).max(1) if len(world) else np.zeros(3)
    touching = _touching(labels, indices, step, to_world) if faces and len(indices) else None
    return LabelFacts(labels=found, touching=touching, extent_mm=extent)


def learn_labels(cases: Sequence[LabelFacts], expected: Sequence[int]) -> tuple[LearnedLabel, ...]:
    """What training cases have in common, of each label that nearly all of them show."""
    learned = []
    for label in expected:
        rows = [case.labels[label] for case in cases if label in case.labels]
        places = [row.place for row in rows if row.place is not None]
        if min(len(rows), len(places)) < max(3, len(cases) / 2):
            continue
        volume = np.exp(interval([float(np.log(row.volume_ml)) for row in rows], VOLUME_FLOOR)).round(4).tolist()
        ends = [interval([float(place[axis]) for place in places], PLACE_FLOOR) for axis in range(3)]
        (right, left), (front, back), (foot, head) = np.round(ends, 3).tolist()
        learned.append(
            LearnedLabel(
                label=label,
                missing=len(rows) < len(cases),
                volume_ml=tuple(volume),
                place=(right, left, front, back, foot, head),
                values=_value_ends(rows),
            )
        )
    return tuple(learned)


def with_whole(learned: LearnedPlausibility, cases: Sequence[LabelFacts]) -> LearnedPlausibility:
    """What was learned, with what it says of all labels together."""
    volume = np.exp(interval([float(np.log(case.volume_ml)) for case in cases], TOTAL_FLOOR)).round(4).tolist()
    touching = [case.touching for case in cases if case.touching is not None]
    highest = [max(interval(column, TOUCHING_FLOOR)[1], max(column)) for column in np.transpose(touching).tolist()]
    extents = np.log([case.extent_mm for case in cases])
    extent = np.exp(
        [min(interval(column, EXTENT_FLOOR)[0], min(column) - EXTENT_FLOOR) for column in extents.T.tolist()]
    )
    return replace(
        learned,
        volume_ml=tuple(volume),
        touching=tuple(round(min(1.0, share), 4) for share in highest),
        extent_mm=tuple(extent.round(1).tolist()),
    )


def judge_labels(learned: LearnedPlausibility, now: LabelFacts, names: Mapping[int, str]) -> list[Finding]:
    """What is implausible about the labels of a case.

    Args:
        learned: Of the training cases.
        now: Of the case.
        names: Of the labels, for messages.
    """
    found = [_tissue(learned, now, names), _total(learned, now), _cut(learned, now)]
    checks = {"label_missing": _missing, "label_volume": _volume, "label_place": _place}
    for kind, check in checks.items():
        parts = [
            text
            for label in learned.labels
            if (text := check(label, now, names.get(label.label, f"label {label.label}")))
        ]
        found.append(Finding(kind, f"{named(parts)}; look at the labels") if parts else None)
    return [finding for finding in found if finding is not None]


def judge_extent(learned: LearnedPlausibility, extent_mm: np.ndarray) -> Finding | None:
    """Whether an image (mm along x, y, z) is smaller than what is labelled in training cases."""
    short = [axis for axis, least in enumerate(learned.extent_mm) if extent_mm[axis] < least]
    if not short:
        return None
    across = ("from side to side", "from front to back", "from head to foot")
    parts = [
        f"{extent_mm[axis]:.0f} mm {across[axis]}, expected {learned.extent_mm[axis]:.0f} or more" for axis in short
    ]
    text = f"the field of view is smaller than what training cases have labelled: {named(parts)}"
    return Finding("fov_cut", f"{text}; parts may be missing")


def _tissue(learned: LearnedPlausibility, now: LabelFacts, names: Mapping[int, str]) -> Finding | None:
    """Values of the image below the labels: of all of them first, else of single ones."""
    known = {label.label: label.values for label in learned.labels if label.values and label.label in now.labels}
    shares = {label: now.labels[label].share_within(ends) for label, ends in known.items()}
    volume = sum(now.labels[label].volume_ml for label in known)
    plausible = sum(now.labels[label].volume_ml * share for label, share in shares.items()) / max(volume, 1e-9)
    if known and plausible < LEAST_PLAUSIBLE:
        text = f"{100 * plausible:.0f} % of the labelled voxels have values as in training"
        expected = f"expected {100 * LEAST_PLAUSIBLE:.0f} % or more"
        return Finding("body_part", f"{text}, {expected}; perhaps another part of the body, or no HU")
    poor = [f"{names[label]} ({100 * share:.0f} %)" for label, share in shares.items() if share < LEAST_OF_LABEL]
    expected = f"expected {100 * LEAST_OF_LABEL:.0f} % or more of its voxels with values as in training"
    return Finding("label_values", f"{named(poor)}: {expected}; look at the labels") if poor else None


def _total(learned: LearnedPlausibility, now: LabelFacts) -> Finding | None:
    if not learned.volume_ml or inside(now.volume_ml, learned.volume_ml):
        return None
    text = f"all labels together have {now.volume_ml:.4g} ml, expected {_ends(learned.volume_ml)} ml"
    return Finding("total_volume", f"{text} by the training cases; look at the labels")


def _cut(learned: LearnedPlausibility, now: LabelFacts) -> Finding | None:
    if now.touching is None or not learned.touching:
        return None
    cut = [
        f"{100 * share:.0f} % at the {face} (up to {100 * most:.0f} % in training)"
        for face, share, most in zip(FACES, now.touching, learned.touching, strict=True)
        if share > most
    ]
    text = "labels end at the image's faces, which hold parts of their largest section"
    return Finding("fov_cut", f"{text}: {named(cut)}; the field of view cuts them") if cut else None


def _missing(learned: LearnedLabel, now: LabelFacts, name: str) -> str:
    lacking = learned.label not in now.labels and not learned.missing
    return f"no voxel of {name}, which all training cases have" if lacking else ""


def _volume(learned: LearnedLabel, now: LabelFacts, name: str) -> str:
    label = now.labels.get(learned.label)
    if label is None or inside(label.volume_ml, learned.volume_ml):
        return ""
    return f"{name} has {label.volume_ml:.3g} ml, expected {_ends(learned.volume_ml)} ml by the training cases"


def _place(learned: LearnedLabel, now: LabelFacts, name: str) -> str:
    label = now.labels.get(learned.label)
    if label is None or label.place is None:
        return ""
    sides = ("right", "left"), ("front", "back"), ("foot", "head")
    for axis, (below, above) in enumerate(sides):
        low, high = learned.place[2 * axis : 2 * axis + 2]
        if not low <= label.place[axis] <= high:
            far = below if label.place[axis] < low else above
            return f"{name} lies further to the {far} among the labels than in training cases"
    return ""


def _value_ends(rows: Sequence[OneLabel]) -> tuple[float, ...]:
    quantiles = [row.quantiles[list(VALUE_ENDS)] for row in rows if row.quantiles is not None]
    if len(quantiles) < 3:
        return ()
    low, high = float(np.min(quantiles)), float(np.max(quantiles))
    margin = VALUE_FLOOR * (high - low) + 1e-3
    return (round(low - margin, 3), round(high + margin, 3))


def _touching(labels: np.ndarray, indices: np.ndarray, step: int, to_world: np.ndarray) -> np.ndarray:
    shares = np.zeros((3, 2))
    for axis, (side, flipped) in enumerate(along_patient(to_world)):
        thinned = np.bincount(indices[:, side] // step).max()
        largest = max(1, int(thinned) * step * step)
        ends = [np.count_nonzero(np.take(labels, end, side)) / largest for end in (0, -1)]
        shares[axis] = ends[::-1] if flipped else ends
    return np.minimum(shares.ravel(), 1.0)


def _ends(ends: Sequence[float]) -> str:
    return " to ".join(f"{end:.3g}" for end in ends)

"""What the planner learned of the training cases, as it stands in the plans (``impulse.plausibility``).

All of it is numbers that can be read and edited. What is empty is not checked, so plans of earlier versions work on.
Places are offsets from the foreground's centre along LPS, in units of its root mean square radius.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FEATURES = 5  # by which masks are told apart


@dataclass(frozen=True, kw_only=True)
class LearnedValues:
    """Values of one CT channel.

    Args:
        channel: Its number.
        first: Lower end of the histogram, HU.
        width: Of its bins, HU.
        shares: Mean share of voxels in each bin.
        least_usual: Share of voxels in usual bins that a case may have at the least.
        air: Every training case has voxels below this value, HU.
    """

    channel: int
    first: float
    width: float
    shares: tuple[float, ...]
    least_usual: float
    air: float

    def __post_init__(self) -> None:
        _require(self.width > 0 and len(self.shares) > 0 and min(self.shares) >= 0 < sum(self.shares), "a histogram")


@dataclass(frozen=True, kw_only=True)
class LearnedMask:
    """One mask channel.

    Args:
        channel: Its number.
        values: Smallest and largest value.
        whole: Values are whole numbers.
        empty: Whether a training case has an empty one.
        volume_ml: Ends of the interval; empty: not checked.
        middle: Means of the features by which masks are told apart.
        spread: Their standard deviations.
        unlike: Channels from which every training case tells it apart.
    """

    channel: int
    values: tuple[float, float]
    whole: bool = True
    empty: bool = True
    volume_ml: tuple[float, ...] = ()
    middle: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    unlike: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _require_length("volume_ml", self.volume_ml, 2)
        _require_length("middle", self.middle, FEATURES)
        _require_length("spread", self.spread, FEATURES)


@dataclass(frozen=True, kw_only=True)
class LearnedLabel:
    """One label.

    Args:
        label: Its number.
        missing: Whether a training case lacks it.
        volume_ml: Ends of the interval.
        place: Ends along x, y, z: low, high, low, high, low, high.
        values: Ends of the values of the image that it lies on; empty: not checked.
    """

    label: int
    missing: bool
    volume_ml: tuple[float, float]
    place: tuple[float, float, float, float, float, float]
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _require_length("values", self.values, 2)


@dataclass(frozen=True, kw_only=True)
class LearnedPlausibility:
    """All that was learned.

    Args:
        cases: Number of training cases.
        channels: CT channels.
        masks: Mask channels.
        labels: Labels.
        volume_ml: Ends of the interval of all labels together; empty: labels are not checked.
        touching: Largest share of the foreground's largest section that lies on a face of the image: right, left,
            front, back, foot, head.
        extent_mm: Smallest extent of the foreground along x, y, z.
    """

    cases: int = 0
    channels: tuple[LearnedValues, ...] = ()
    masks: tuple[LearnedMask, ...] = ()
    labels: tuple[LearnedLabel, ...] = ()
    volume_ml: tuple[float, ...] = ()
    touching: tuple[float, ...] = ()
    extent_mm: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, length in (("volume_ml", 2), ("touching", 6), ("extent_mm", 3)):
            _require_length(name, getattr(self, name), length)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was learned, so that nothing can be checked."""
        return not (self.channels or self.masks or self.labels)


def _require_length(name: str, values: Sequence[float], length: int) -> None:
    _require(len(values) in (0, length), f"nothing or {length} numbers in {name}")


def _require(condition: bool, expected: str) -> None:
    if not condition:
        raise ValueError(f"other numbers than the planner writes, expected {expected}")

"""CT values: how often each occurs in a case, what is usual in training cases, and images whose values are shifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from impulse_nnunet.plausibility.learned import LearnedValues
from impulse_nnunet.runtime.findings import Finding

STEP = 8  # HU, of the histograms that are kept of each case
LIMIT = 70_000  # values beyond +- this are taken as this
PADDING_GAP = 200.0  # HU: the smallest value, if it lies so far below all others, is padding
BINS = 128  # of what is learned, at most
USUAL = 0.98  # of the training cases' voxels lie in the bins that are called usual
NEAR = 48.0  # HU: other noise, other tube voltage
TOLERANCE = 0.3  # share of voxels outside them beyond the worst training case
AIR_SHARE, AIR_TOLERANCE, NO_AIR = 0.02, 150.0, 1e-3
EXPLAINED = 0.2  # share of voxels that a shift must bring back to usual bins


@dataclass(frozen=True)
class ValueShares:
    """How often values occur.

    Args:
        first: Number of the first bin; bin k holds values from ``STEP * k`` on, HU.
        shares: Share of the voxels in each bin.
    """

    first: int
    shares: np.ndarray

    def below(self, value: float) -> float:
        """Share of the voxels below a value, to a bin."""
        return float(self.shares[: max(0, int(np.floor(value / STEP)) - self.first)].sum())

    def quantile(self, share: float) -> float:
        """The value below which a share of the voxels lies, to a bin."""
        return float(STEP * (self.first + int(np.searchsorted(np.cumsum(self.shares), share))))


def value_shares(values: np.ndarray) -> ValueShares:
    """Of an image's voxels (any shape), padding left out."""
    voxels = np.clip(values.ravel(), -LIMIT, LIMIT)
    lowest = voxels.min()
    others = voxels[voxels > lowest]
    if others.size and float(others.min() - lowest) > PADDING_GAP:
        voxels = others
    bins = np.floor(voxels / STEP).astype(np.int64)
    first = int(bins.min())
    counts = np.bincount(bins - first)
    return ValueShares(first, counts / counts.sum())


def learn_values(channel: int, cases: Sequence[ValueShares]) -> LearnedValues:
    """What is usual in the training cases, two or more."""
    first = STEP * min(case.first for case in cases)
    last = STEP * max(case.first + len(case.shares) for case in cases)
    width = STEP * int(np.ceil((last - first) / STEP / BINS))
    number = int(np.ceil((last - first) / width))
    rows = np.stack([_binned(case, first, width, number) for case in cases])
    total = rows.sum(0)
    without = [(total - row) / (len(rows) - 1) for row in rows]
    least = min(float(row[usual_bins(rest, width)].sum()) for row, rest in zip(rows, without, strict=True))
    return LearnedValues(
        channel=channel,
        first=float(first),
        width=float(width),
        shares=tuple(float(share) for share in np.round(total / len(rows), 5)),
        least_usual=round(max(0.0, least - TOLERANCE), 3),
        air=max(case.quantile(AIR_SHARE) for case in cases) + AIR_TOLERANCE,
    )


def usual_bins(shares: np.ndarray, width: float) -> np.ndarray:
    """Which bins, ``width`` HU wide, hold most voxels or lie near one that does."""
    order = np.argsort(shares)[::-1]
    covered = np.cumsum(shares[order])
    usual = np.zeros(len(shares), bool)
    usual[order[: int(np.searchsorted(covered, USUAL * covered[-1])) + 1]] = True
    return _beside(usual, width)


def judge_values(learned: LearnedValues, case: ValueShares) -> Finding | None:
    """Whether a CT's values are those of training cases, at most shifted, or others altogether."""
    usual = usual_bins(np.asarray(learned.shares), learned.width)
    now = _usual_share(case, learned, usual)
    if now >= learned.least_usual and case.below(learned.air) >= NO_AIR:
        return None
    span = STEP * len(case.shares) + learned.width * len(usual)
    shifts = np.arange(-span, span + 1, STEP * max(1, int(learned.width / STEP / 2)))
    shares = np.array([_share_explained(case, learned, usual, float(shift)) for shift in shifts])
    best = max(shifts[shares >= shares.max() - 0.01].tolist(), key=lambda shift: _likeness(case, learned, shift))
    low, high = case.quantile(0.01), case.quantile(0.99)
    seen = f"1 to 99 % of its voxels have {low:.0f} to {high:.0f}"
    if shares.max() >= max(now + EXPLAINED, learned.least_usual):
        text = (
            f"CT values look shifted by {-best:+.0f} HU ({seen}; shifted back {100 * shares.max():.0f} % of them are "
            f"usual in training, now {100 * now:.0f} %); check the rescale intercept, or how it was converted to HU"
        )
        return Finding("hu_shift", text)
    text = (
        f"CT values are none that training cases have ({seen}; {100 * now:.0f} % of them are usual in training, "
        f"expected {100 * learned.least_usual:.0f} %, and some below {learned.air:.0f}); store it in HU, unclipped"
    )
    return Finding("hu_range", text)


def _binned(case: ValueShares, first: float, width: float, number: int) -> np.ndarray:
    values = STEP * (case.first + np.arange(len(case.shares)) + 0.5)
    bins = np.floor((values - first) / width).astype(np.int64)
    fits = (bins >= 0) & (bins < number)
    return np.bincount(bins[fits], case.shares[fits], number)


def _likeness(case: ValueShares, learned: LearnedValues, shift: float) -> float:
    """Bhattacharyya's coefficient of the shifted histogram and the training cases'."""
    shares = _binned(case, learned.first - shift, learned.width, len(learned.shares))
    return float(np.sqrt(shares * np.asarray(learned.shares)).sum())


def _usual_share(case: ValueShares, learned: LearnedValues, usual: np.ndarray) -> float:
    return float(_binned(case, learned.first, learned.width, len(usual))[usual].sum())


def _share_explained(case: ValueShares, learned: LearnedValues, usual: np.ndarray, shift: float) -> float:
    """The lesser of the share of shifted voxels that are usual, and of the training cases' voxels that occur then."""
    shares, expected = _binned(case, learned.first - shift, learned.width, len(usual)), np.asarray(learned.shares)
    occurring = _beside(shares > NO_AIR, learned.width)
    return float(min(shares[usual].sum(), expected[occurring].sum() / expected.sum()))


def _beside(bins: np.ndarray, width: float) -> np.ndarray:
    """The bins and those near them."""
    near = int(np.ceil(NEAR / width))
    return np.convolve(bins, np.ones(2 * near + 1), "full")[near : near + len(bins)] > 0

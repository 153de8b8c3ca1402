"""Settings of a synthetic cohort and of one of its cases."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from impulse_nnunet.errors import InputError

VERSION = 1  # raised whenever the same seed gives other voxels
FUSIONS = ((13, 14), (17, 18), (8, 9), (4, 5), (1, 2))  # pairs that are taken as one segment: the first keeps its label
MISSING = (7, 14, 9, 3)  # segments that a case may lack
CONTRASTS = ("none", "contrast", "mixed")
DEFAULT_FIELD_MM = (300.0, 360.0, 360.0)
SMALLEST_FIELD_MM = (285.0, 270.0, 320.0)
SPACING_LIMITS_MM = (0.3, 12.0)
SLICE_LIMITS_MM = (0.6, 5.0)


@dataclass(frozen=True, kw_only=True)
class PhantomSettings:
    """What decides the voxels of a cohort.

    Args:
        size: (d, h, w) voxels; d is ignored where slices vary.
        spacing_mm: (d, h, w); None fits the field of view to each patient.
        seed: Seed of everything random.
        contrast: ``none``, ``contrast``, or ``mixed``: every second case in the mean.
        slice_spacing_mm: Lowest and highest slice spacing; None keeps the one of ``size`` or ``spacing_mm``.
        anomalies: Share of cases with a missing segment or two fused ones, 0 to 1.
        disconnected: Share of cases whose tree files (not the image) have gaps, 0 to 1.
        noise_hu: Lowest and highest standard deviation of the image's noise.
    """

    size: tuple[int, int, int] = (128, 160, 160)
    spacing_mm: tuple[float, float, float] | None = None
    seed: int = 0
    contrast: str = "mixed"
    slice_spacing_mm: tuple[float, float] | None = None
    anomalies: float = 0.0
    disconnected: float = 0.0
    noise_hu: tuple[float, float] = field(default=(10.0, 35.0))

    def __post_init__(self) -> None:
        self._check_grid()
        if self.contrast not in CONTRASTS:
            raise InputError("`contrast`", repr(self.contrast), " or ".join(CONTRASTS), "choose one")
        if not 0 <= self.seed < 2**32:
            raise InputError("`seed`", str(self.seed), "0 to 4294967295", "choose another")
        for name, share in (("anomalies", self.anomalies), ("disconnected", self.disconnected)):
            if not 0 <= share <= 1:
                raise InputError(f"`{name}`", f"{share}", "a share of the cases, 0 to 1", "correct it")
        low, high = self.noise_hu
        if not 0 <= low <= high <= 500:
            raise InputError("`noise_hu`", f"{low} {high}", "lowest and highest HU, 0 to 500", "correct it")

    def _check_grid(self) -> None:
        if not all(16 <= n <= 2048 for n in self.size):
            raise InputError("`size`", " ".join(map(str, self.size)), "16 to 2048 voxels along each axis", "correct it")
        low, high = SPACING_LIMITS_MM
        if self.spacing_mm is not None:
            if not all(low <= s <= high for s in self.spacing_mm):
                found = " ".join(f"{s:g}" for s in self.spacing_mm)
                raise InputError("`spacing_mm`", found, f"{low:g} to {high:g} mm along each axis", "correct it")
            covered = [n * s for n, s in zip(self.size, self.spacing_mm, strict=True)]
            first = 0 if self.slice_spacing_mm is None else 1
            if any(c < need for c, need in list(zip(covered, SMALLEST_FIELD_MM, strict=True))[first:]):
                raise InputError(
                    "`size` and `spacing_mm`",
                    f"{' x '.join(f'{c:.0f}' for c in covered)} mm",
                    f"at least {' x '.join(f'{n:.0f}' for n in SMALLEST_FIELD_MM)} mm, so that the lungs are whole",
                    "give more voxels or a larger spacing",
                )
        if self.slice_spacing_mm is not None:
            thin, thick = self.slice_spacing_mm
            if not SLICE_LIMITS_MM[0] <= thin <= thick <= SLICE_LIMITS_MM[1]:
                expected = "lowest and highest, {:g} to {:g} mm".format(*SLICE_LIMITS_MM)
                raise InputError("`slice_spacing_mm`", f"{thin:g} {thick:g}", expected, "correct it")

    def as_record(self) -> dict[str, Any]:
        """For JSON; equal records give equal voxels."""
        record = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {"version": VERSION, **record}

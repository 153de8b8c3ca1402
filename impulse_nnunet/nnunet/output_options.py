"""What a prediction writes for each case."""

from __future__ import annotations

from dataclasses import dataclass

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.grid import read_file_grid


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What to write for each case.

    Args:
        probabilities: nnU-Net's ``.npz`` and ``.pkl`` too.
        displacement: The field D too, a vector image in mm (world axes, LPS) on the image's grid.
        spacing_mm: (z, y, x); labels on a grid of this spacing in place of the image's own.
        like: Labels on this image's grid in place of the image's own.
    """

    probabilities: bool = False
    displacement: bool = False
    spacing_mm: tuple[float, float, float] | None = None
    like: str | None = None

    def __post_init__(self) -> None:
        if self.spacing_mm is not None and self.like is not None:
            raise InputError("`spacing_mm` and `like`", "both", "one of them", "leave one out")
        if self.like is not None:
            read_file_grid(self.like)
        if self.probabilities and (self.spacing_mm is not None or self.like is not None):
            raise InputError(
                "`probabilities`", "another output grid", "the image's own grid", "leave `spacing_mm` and `like` out"
            )

    @property
    def own_grid(self) -> bool:
        """Whether labels come out on the image's own grid."""
        return self.spacing_mm is None and self.like is None

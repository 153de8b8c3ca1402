"""What a prediction writes for each case."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.grid import read_file_grid
from impulse_nnunet.jobs.content import Contents

DISPLACEMENT_FOLDER = "displacement"


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What to write for each case.

    Args:
        probabilities: nnU-Net's ``.npz`` and ``.pkl`` too.
        displacement: The field D too, a vector image in mm (world axes, LPS) on the labels' grid.
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

    def record(self) -> dict[str, Any]:
        """What tells results apart; another image's grid by its content."""
        like = None if self.like is None else Contents().digest(Path(self.like))
        return asdict(self) | {"like": like}

    def products(self, output: Path, case: str, ending: str) -> list[Path]:
        """The files of a case."""
        files = [output / f"{case}{ending}"]
        files += [output / f"{case}.npz"] if self.probabilities else []
        return files + ([output / DISPLACEMENT_FOLDER / f"{case}{ending}"] if self.displacement else [])

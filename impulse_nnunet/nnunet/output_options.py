"""What a prediction writes for each case."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.grid import read_file_grid
from impulse_nnunet.jobs.content import Contents

DISPLACEMENT_FOLDER, MESH_FOLDER = "displacement", "meshes"
MESH_FORMATS = ("obj", "glb", "3mf", "vtp")  # of one scene a case: their files are known before the labels


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What to write for each case.

    Args:
        probabilities: nnU-Net's ``.npz`` and ``.pkl`` too.
        displacement: The field D too, a vector image in mm (world axes, LPS) on the labels' grid.
        spacing_mm: (z, y, x); labels on a grid of this spacing in place of the image's own.
        like: Labels on this image's grid in place of the image's own.
        meshes: Formats of surfaces decoded at ``mesh_spacing_mm``; some of :data:`MESH_FORMATS`.
        mesh_spacing_mm: Of the grid that the surfaces are made on.
    """

    probabilities: bool = False
    displacement: bool = False
    spacing_mm: tuple[float, float, float] | None = None
    like: str | None = None
    meshes: tuple[str, ...] = ()
    mesh_spacing_mm: float = 0.5

    def __post_init__(self) -> None:
        if self.spacing_mm is not None and self.like is not None:
            raise InputError("`spacing_mm` and `like`", "both", "one of them", "leave one out")
        if self.like is not None:
            read_file_grid(self.like)
        if self.probabilities and (self.spacing_mm is not None or self.like is not None):
            raise InputError(
                "`probabilities`", "another output grid", "the image's own grid", "leave `spacing_mm` and `like` out"
            )

        wrong = next((name for name in self.meshes if name not in MESH_FORMATS), None)
        if wrong is not None:
            raise InputError("`meshes`", repr(wrong), f"some of {', '.join(MESH_FORMATS)}", "choose among them")
        if not (math.isfinite(self.mesh_spacing_mm) and self.mesh_spacing_mm > 0):
            found = f"{self.mesh_spacing_mm}"
            raise InputError("`mesh_spacing_mm`", found, "a positive number of mm", "correct it")

    @property
    def own_grid(self) -> bool:
        """Whether labels come out on the image's own grid."""
        return self.spacing_mm is None and self.like is None

    def record(self) -> dict[str, Any]:
        """What tells results apart; another image's grid by its content."""
        entries = asdict(self) | {"like": None if self.like is None else Contents().digest(Path(self.like))}
        if not self.meshes:  # records from before there were meshes stay valid
            entries = {name: value for name, value in entries.items() if name not in ("meshes", "mesh_spacing_mm")}
        return entries

    def files(self, output: Path, case: str, file_ending: str) -> list[Path]:
        """All files of a case in the output folder."""
        found = [output / f"{case}{file_ending}"]
        found += [output / f"{case}.npz"] if self.probabilities else []
        found += [output / DISPLACEMENT_FOLDER / f"{case}{file_ending}"] if self.displacement else []
        endings = [ending for name in self.meshes for ending in ((".obj", ".mtl") if name == "obj" else (f".{name}",))]
        return found + [output / MESH_FOLDER / f"{case}{ending}" for ending in endings]


def every_file(output: Path, file_ending: str, case: str) -> list[Path]:
    """All files that a case may have in the output folder, whatever was asked for."""
    whole = OutputOptions(probabilities=True, displacement=True, meshes=MESH_FORMATS)
    return [*whole.files(output, case, file_ending), output / f"{case}.pkl"]

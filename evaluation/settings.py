"""What an evaluation was asked for; written into every result beside the numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.intrusions import CONNECTIVITIES, INTRUSION_SURFACES
from impulse_nnunet.evaluation.surface import SURFACES

TREES = {"airway": "B", "artery": "A", "vein": "V"}  # the letter of NIB, NIA, ...; B for bronchi, as in the paper
INTERSEG = "interseg"  # intersegmental veins run between the segments: no segment is their own
ABSENT = ("skip", "zero")


@dataclass(frozen=True, kw_only=True)
class MetricSettings:
    """Choices that the paper leaves open.

    Args:
        tolerances_mm: Of the NSD.
        surface: ``voxel`` (surface voxels are counted) or ``surfel`` (areas).
        connectivity: Of an intrusion's voxels: 26, 18 or 6.
        min_size: Smaller intrusions are left out, voxels.
        intrusion_surface: The distance goes to the ``whole`` surface of the predicted segment, or to its ``interface``
            with other segments.
        absent: A label in neither map is left out (``skip``) or counts as 0 (``zero``).
        hd95: Also the 95th percentile of the Hausdorff distance.
        assd: Also the average symmetric surface distance.
        tree_labels: Tree files carry the class of each voxel; else it is that of the reference segment around it.
    """

    tolerances_mm: tuple[float, ...] = (1.0, 2.0, 3.0)
    surface: str = "voxel"
    connectivity: int = 26
    min_size: int = 1
    intrusion_surface: str = "whole"
    absent: str = "skip"
    hd95: bool = False
    assd: bool = False
    tree_labels: bool = False

    def __post_init__(self) -> None:
        if not self.tolerances_mm or not all(t >= 0 and math.isfinite(t) for t in self.tolerances_mm):
            raise InputError("`tolerances_mm`", f"{list(self.tolerances_mm)}", "numbers from 0 on", "correct it")
        if self.min_size < 1:
            raise InputError("`min_size`", f"{self.min_size}", "a number of voxels from 1 on", "correct it")
        for name, value, allowed in (
            ("surface", self.surface, SURFACES),
            ("connectivity", self.connectivity, CONNECTIVITIES),
            ("intrusion_surface", self.intrusion_surface, INTRUSION_SURFACES),
            ("absent", self.absent, ABSENT),
        ):
            if value not in allowed:
                raise InputError(f"`{name}`", repr(value), f"one of {', '.join(str(a) for a in allowed)}", "correct it")

    @property
    def nsd_names(self) -> list[str]:
        """Names of the NSD at each tolerance."""
        return [f"NSD_{tolerance:g}mm" for tolerance in self.tolerances_mm]

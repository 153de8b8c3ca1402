"""The paper's own results (ImPulSe+, arXiv 2505.08919), to stand beside what was measured here.

Dice and NSD in percent; the paper gives no tolerance for NSD and no unit for the intrusion distances. Test set of 160
cases of Lung3D and its private CT images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

METRICS = ("Dice", "NSD", "NIB", "IDB", "NIA", "IDA")
TEMPLATE_ALONE_DICE = 60.28  # section 4.3


@dataclass(frozen=True)
class Figure:
    """One number of the paper.

    Args:
        mean: Mean as printed.
        sd: Over five runs, where it is printed.
    """

    mean: float
    sd: float | None = None

    def __str__(self) -> str:
        return f"{self.mean:.2f}" + ("" if self.sd is None else f" ± {self.sd:.2f}")


Row = Mapping[str, Figure]


def _row(*means: float, sd: tuple[float, ...] = ()) -> Row:
    deviations = (*sd, *[None] * (len(means) - len(sd)))
    return {
        metric: Figure(mean, deviation) for metric, mean, deviation in zip(METRICS, means, deviations, strict=False)
    }


# table -> row -> metric -> number; the rows' keys are those of impulse_nnunet.studies.rows
PAPER: Mapping[str, Mapping[str, Row]] = {
    "1": {
        "nnunet": _row(84.58, 61.69, 26.30, 2.22, 52.36, 1.53),
        "deeplabv3": _row(81.12, 47.29, 26.53, 1.52, 48.18, 1.08),
        "fcn": _row(80.98, 48.33, 33.18, 0.51, 61.71, 0.58),
        "lowres": _row(84.68, 57.95, 25.26, 3.97, 40.94, 2.08),
        "impulse": _row(85.31, 60.22, 24.09, 2.10, 43.73, 1.27, sd=(0.05, 0.27)),
        "plus": _row(86.06, 62.75, 24.21, 2.67, 43.29, 1.33, sd=(0.05, 0.07)),
        "template": _row(TEMPLATE_ALONE_DICE),
    },
    "2": {
        "impulse": _row(85.31, 60.22),
        "co_trained": _row(84.60, 59.92),
        "no_correction": _row(84.61, 60.35),
        "no_displacement_loss": _row(86.06, 62.75),
        "plus": _row(86.00, 63.17),
        "template": _row(TEMPLATE_ALONE_DICE),
    },
    "3": {
        "plus": _row(86.00, 63.17),
        "unet_encoder": _row(85.42, 61.68),
        "unet": _row(85.71, 63.67),
    },
    "4": {
        "i": _row(85.87),
        "ibav": _row(86.06),
        "ibav_truth": _row(86.48),
        "l": _row(68.52),
        "l_truth": _row(74.17),
        "lbav": _row(82.43),
        "lbav_truth": _row(82.56),
    },
    "5": {
        "impulse": _row(81.88, 43.39),
        "co_trained": _row(80.39, 41.37),
        "no_correction": _row(80.34, 42.18),
        "no_displacement_loss": _row(82.29, 44.07),
        "plus": _row(82.43, 44.13),
    },
    "fig10": {},
}

"""What a metric's name says: its direction, its unit, how a table writes it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

PERCENT = ("Dice", "IoU", "NSD", "share")  # fractions, higher is better
SECONDARY = ("total_ID", "share", "Dice_")
LOWER = ("NI", "ID", "total_ID", "HD95", "ASSD")
TIMES = re.compile(r"(\d)mm$")


def direction(metric: str) -> int:
    """1 where higher is better, -1 where lower is, 0 where the name does not say."""
    if metric.startswith(PERCENT):
        return 1
    return -1 if metric.startswith(LOWER) else 0


def is_intrusion_distance(metric: str) -> bool:
    """Whether the metric is a mean over intrusions, undefined where there is none."""
    return metric.startswith("ID")


def is_secondary(metric: str) -> bool:
    """Whether tables leave the metric out unless it is asked for."""
    return metric.startswith(SECONDARY) and metric != "Dice_lobes"


def number_of(metric: str) -> str:
    """The number of intrusions that belongs to an intrusion distance: IDB_mm -> NIB."""
    return "NI" + metric.removeprefix("ID").removesuffix("_mm")


def beside_their_numbers(metrics: Sequence[str], available: Sequence[str]) -> list[str]:
    """The metrics once each, every intrusion distance right after its number of intrusions, added if available."""
    distances = {number_of(metric): metric for metric in metrics if is_intrusion_distance(metric)}
    ordered: dict[str, None] = {}
    for metric in metrics:
        number = number_of(metric) if is_intrusion_distance(metric) else metric
        if number in distances:
            ordered.update(dict.fromkeys([number] if number in available else []))
            ordered[distances[number]] = None
        else:
            ordered[metric] = None
    return list(ordered)


def label(metric: str) -> str:
    """The metric as a table writes it, unit and direction included: NSD_1mm -> NSD 1 mm (%) ↑."""
    unit = " (%)" if metric.startswith(PERCENT) else " (mm)" if metric.endswith("_mm") else ""
    name = TIMES.sub(r"\1 mm", metric.removesuffix("_mm")).replace("_", " ")
    return name + unit + {1: " ↑", -1: " ↓", 0: ""}[direction(metric)]


def scale(metric: str) -> int:
    """100 for fractions, which tables show in percent; else 1."""
    return 100 if metric.startswith(PERCENT) else 1


def shown(metric: str, number: float, sign: bool = False) -> str:
    """The number with two decimals, fractions in percent; n/a for NaN."""
    if math.isnan(number):
        return "n/a"
    text = f"{number * scale(metric):{'+' if sign else ''}.2f}"
    return text if float(text) else "0.00"


def shown_p(p_value: float) -> str:
    """A p-value with three decimals; n/a for NaN."""
    if math.isnan(p_value):
        return "n/a"
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"

"""Measure a cohort's files and hold them against what was asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from impulse_nnunet.io.files import write_json
from impulse_nnunet.lungs.anatomy import LOBES
from impulse_nnunet.phantom.cohort import read_record
from impulse_nnunet.phantom.layout import ENDING, Layout, read_array
from impulse_nnunet.phantom.properties import lung_box_map, measure_case, template_dice

TEMPLATE_CASES, FEWEST_HELD_OUT = 30, 4
PROPERTIES_FILE = "phantom_properties.json"
LOBE_SHARES = ((17.9, 2.4), (9.3, 1.6), (26.5, 2.6), (23.1, 2.1), (23.2, 2.4))  # per cent, PMC7490509


@dataclass(frozen=True, kw_only=True)
class CohortProperty:
    """One property of a cohort.

    Args:
        name: Name of the property.
        lowest: Over cases.
        mean: Over cases.
        highest: Over cases.
        asked: In words.
        met: None where nothing is asked.
    """

    name: str
    lowest: float
    mean: float
    highest: float
    asked: str = ""
    met: bool | None = None


def check_cohort(layout: Layout, progress: bool = True) -> list[CohortProperty]:
    """Measure every whole case from its files; the records and ``phantom_properties.json`` are written again.

    Args:
        layout: Where the cohort lies.
        progress: Show a bar.

    Returns:
        One finding for each property.
    """
    names = sorted((layout.segments / "properties").glob("phantom_*.json"))
    numbers = [int(path.stem.split("_")[1]) for path in names]
    rows, maps = [], []
    for number in tqdm(numbers, desc="measuring", disable=not progress):
        row, segments = _measure(number, layout)
        rows.append(row)
        maps.append(lung_box_map(segments))
    findings = summarise(rows) + _template(maps)
    write_json(
        {"cases": len(rows), "findings": [vars(finding) for finding in findings]}, layout.segments / PROPERTIES_FILE
    )
    return findings


def _measure(number: int, layout: Layout) -> tuple[dict[str, Any], np.ndarray]:
    image, spacing = read_array(layout.image(number))
    names = ("airway", "artery", "vein", "interseg", "airway_labels", "artery_labels")
    labels = {name: read_array(layout.tree(name, number))[0] for name in names}
    labels["segments"] = read_array(layout.lung3d(number) / f"lungsegment{ENDING}")[0]
    row: dict[str, Any] = measure_case(image, labels, spacing)
    record = read_record(number, layout) or {}
    row["disconnected"] = bool(record.get("facts", {}).get("disconnected"))
    write_json({**record, "properties": {key: row[key] for key in row if key != "disconnected"}}, layout.record(number))
    return row, labels["segments"]


def summarise(rows: Sequence[dict[str, Any]]) -> list[CohortProperty]:
    """Properties of the cases -> findings; gaps that were asked for do not count as broken trees."""
    whole = [row for row in rows if not row["disconnected"]]
    findings = []
    for name in ("airway", "artery"):
        findings.append(_finding(f"{name}_in_own_segment", rows, "each >= 0.999", lambda low, _, __: low >= 0.999))
    near = "interseg_near_border"
    findings.append(_finding(near, rows, "each >= 0.95", lambda low, _, __: low >= 0.95))
    findings.append(_finding("lung_near_border", rows))
    findings.append(_finding("segments_in_pieces", rows, "0", lambda _, __, high: high == 0))
    for name in ("airway", "artery", "vein"):
        findings.append(_finding(f"{name}_pieces", whole, "1", lambda _, __, high: high == 1))
    contrast = "mean within 5 HU"
    findings.append(_finding("segment_border_hu", rows, contrast, lambda _, mean, __: abs(mean) < 5))
    findings.append(_finding("fissure_hu", rows, "each > 5 HU", lambda low, _, __: low > 5))
    for lobe, (name, (mean, sd)) in enumerate(zip(LOBES, LOBE_SHARES, strict=True)):
        shares = [{"share": row["lobe_shares"][lobe]} for row in rows]
        finding = _finding("share", shares)
        met = abs(finding.mean - mean) <= sd
        asked = f"mean {mean} +- {sd} %"
        findings.append(
            CohortProperty(
                name=f"{name} %",
                lowest=finding.lowest,
                mean=finding.mean,
                highest=finding.highest,
                asked=asked,
                met=met,
            )
        )
    return [*findings, _finding("lung_litres", rows)]


def _finding(name: str, rows: Sequence[dict[str, Any]], asked: str = "", rule: Any = None) -> CohortProperty:
    values = [float(row[name]) for row in rows if row[name] is not None]
    if not values:
        return CohortProperty(
            name=name, lowest=float("nan"), mean=float("nan"), highest=float("nan"), asked=asked, met=None
        )
    low, mean, high = min(values), float(np.mean(values)), max(values)
    return CohortProperty(
        name=name,
        lowest=low,
        mean=mean,
        highest=high,
        asked=asked,
        met=None if rule is None else bool(rule(low, mean, high)),
    )


def _template(maps: Sequence[np.ndarray]) -> list[CohortProperty]:
    if len(maps) < TEMPLATE_CASES + FEWEST_HELD_OUT:
        return []
    dice = template_dice(maps[:TEMPLATE_CASES], maps[TEMPLATE_CASES:])
    name = f"Dice of a template of {TEMPLATE_CASES} cases on the other {len(maps) - TEMPLATE_CASES} %"
    return [CohortProperty(name=name, lowest=dice, mean=dice, highest=dice, asked="55 to 65", met=55 <= dice <= 65)]

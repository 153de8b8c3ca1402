"""plan.json and plan.csv of a case."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impulse_nnunet.io.files import whole_file
from impulse_nnunet.outputs.names import LabelNames
from impulse_nnunet.surgery.branch_files import NOTE
from impulse_nnunet.surgery.cuts import Cut, KeptVein
from impulse_nnunet.surgery.plan import Plan
from impulse_nnunet.surgery.resection import Resection

COLUMNS = (
    "rank",
    "labels",
    "names",
    "margin_mm",
    "margin_in_lobe_mm",
    "sufficient",
    "holds_lesion",
    "taken_ml",
    "left_ml",
    "taken_share",
    "airway_cuts",
    "artery_cuts",
    "vein_cuts",
    "veins_to_keep",
    "note",
)


def plan_record(case: str, plan: Plan, names: LabelNames) -> dict[str, Any]:
    """What plan.json says: lengths in mm, volumes in ml, positions LPS; null where there is no such distance."""
    lesion = plan.lesion
    total = sum(plan.volumes_ml.values())
    return {
        "note": NOTE,
        "case": case,
        "space": "LPS",
        "lesion": {
            "volume_ml": round(lesion.volume_ml, 4),
            "largest_diameter_mm": round(lesion.largest_diameter_mm, 3),
            "share_by_label": {str(label): round(share, 5) for label, share in lesion.share_by_label.items()},
            "outside_share": round(lesion.outside_share, 5),
            "distance_mm": {
                "pleura": _mm(plan.pleura_mm),
                **{name: _mm(gap) for name, gap in plan.trees_mm.items()},
                "plane": {f"{a}-{b}": _mm(gap) for (a, b), gap in sorted(plan.planes_mm.items(), key=lambda p: p[1])},
                "segmental": {
                    name: {str(label): _mm(gap) for label, gap in gaps.items()}
                    for name, gaps in plan.segmental_mm.items()
                },
            },
        },
        "volumes_ml": {str(label): round(volume, 4) for label, volume in plan.volumes_ml.items()},
        "lobes_ml": {
            lobe: round(sum(plan.volumes_ml[label] for label in parts), 4) for lobe, parts in plan.lobes.items()
        },
        "total_ml": round(total, 4),
        "resections": [_resection(resection, names, total) for resection in plan.resections],
        "names": {str(label): names.name(label) for label in plan.volumes_ml},
        "notes": list(plan.notes),
    }


def write_plan(record: Mapping[str, Any], folder: Path) -> None:
    """Write plan.json, and plan.csv with a row for each resection; each appears only when it is whole."""
    with whole_file(folder / "plan.json") as path:
        path.write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")
    with whole_file(folder / "plan.csv") as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for rank, resection in enumerate(record["resections"], 1):
            counts = {f"{name}_cuts": len(cuts) for name, cuts in resection["cuts"].items()}
            values = {**resection, **counts, "rank": rank, "note": NOTE}
            values["veins_to_keep"] = len(resection["veins_to_keep"])
            writer.writerow([_cell(values.get(column)) for column in COLUMNS])


def _resection(resection: Resection, names: LabelNames, total_ml: float) -> dict[str, Any]:
    return {
        "labels": list(resection.labels),
        "names": [names.name(label) for label in resection.labels],
        "margin_mm": _mm(resection.margin_mm),
        "margin_in_lobe_mm": _mm(resection.margin_in_lobe_mm),
        "sufficient": resection.sufficient,
        "sufficient_for_diameter": resection.sufficient_for_diameter,
        "sufficient_for_margin": resection.sufficient_for_margin,
        "holds_lesion": resection.holds_lesion,
        "taken_ml": round(resection.taken_ml, 4),
        "left_ml": round(resection.left_ml, 4),
        "taken_share": round(resection.taken_ml / total_ml, 5),
        "cuts": {name: [_cut(cut, names) for cut in cuts] for name, cuts in resection.cuts.items()},
        "veins_to_keep": [_vein(vein) for vein in resection.veins_to_keep],
    }


def _cut(cut: Cut, names: LabelNames) -> dict[str, Any]:
    return {
        "branch": cut.branch,
        "position_mm": [round(value, 2) for value in cut.position_mm],
        "diameter_mm": round(cut.diameter_mm, 2),
        "label": cut.label,
        "name": names.name(cut.label),
    }


def _vein(vein: KeptVein) -> dict[str, Any]:
    return {
        "branches": list(vein.branches),
        "between": list(vein.between),
        "length_mm": round(vein.length_mm, 2),
        "mean_diameter_mm": round(vein.mean_diameter_mm, 2),
        "position_mm": [round(value, 2) for value in vein.position_mm],
    }


def _mm(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return " + ".join(map(str, value)) if isinstance(value, list) else value

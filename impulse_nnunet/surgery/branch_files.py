"""branches.json, branches.csv and branches.vtp of a case."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from impulse_nnunet.io.files import whole_file
from impulse_nnunet.outputs.names import LabelNames
from impulse_nnunet.surgery.case_trees import CaseTrees
from impulse_nnunet.surgery.cuts import NamedTree

NOTE = "research use, not a medical device"
COLUMNS = (
    "tree",
    "id",
    "parent",
    "generation",
    "label",
    "name",
    "confidence",
    "own_share",
    "length_mm",
    "mean_diameter_mm",
    "lies_in",
    "feeds",
    "border_share",
    "between",
    "joined_gap_mm",
    "root",
    "note",
)


def branches_record(case: str, found: CaseTrees, names: LabelNames, variants: list[dict[str, Any]]) -> dict[str, Any]:
    """What branches.json says; positions are LPS in mm."""
    record: dict[str, Any] = {"note": NOTE, "case": case, "space": "LPS", "unit": "mm"}
    for name, tree in found.trees.items():
        record[name] = [_branch(tree, number, names) for number in range(len(tree.tree.branches))]
    record["joined"] = {
        name: [
            {"from_mm": _rounded(start), "to_mm": _rounded(end), "gap_mm": round(join.gap_mm, 2)}
            for join, (start, end) in zip(joins, found.joined[name], strict=True)
        ]
        for name, joins in found.joins.items()
    }
    record["apart"] = {
        name: [
            {"voxels": voxels, "length_mm": round(length, 2), "position_mm": _rounded(position)}
            for voxels, length, position in pieces
        ]
        for name, pieces in found.apart.items()
    }
    record["variants"] = [_named_variant(variant, names) for variant in variants]
    record["names"] = {str(label): text for label, text in names.names.items()}
    return record


def write_branches(record: Mapping[str, Any], found: CaseTrees, folder: Path) -> None:
    """Write all three files into a folder; each appears only when it is whole."""
    with whole_file(folder / "branches.json") as path:
        path.write_text(json.dumps(record, separators=(",", ":"), allow_nan=False), encoding="utf-8")
    with whole_file(folder / "branches.csv") as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name in found.trees:
            writer.writerows(_row(name, branch) for branch in record[name])
    write_lines(found, folder / "branches.vtp")


def write_lines(found: CaseTrees, path: Path) -> None:
    """Write the centre lines as VTK polylines with tree, branch, label, generation and radius."""
    import pyvista as pv

    points, lines, radii, cells = [], [], [], []
    first = 0
    for number, tree in enumerate(found.trees.values()):
        for branch, service in zip(tree.tree.branches, tree.services, strict=True):
            count = len(branch.points_mm)
            points.append(branch.points_mm)
            radii.append(branch.radii_mm)
            lines += [count, *range(first, first + count)]
            first += count
            cells.append((number, branch.id, service.label, branch.generation))
    mesh = pv.PolyData()
    if points:
        mesh.points = np.concatenate(points).astype(np.float32)
        mesh.lines = np.array(lines)
        mesh.point_data["radius_mm"] = np.concatenate(radii).astype(np.float32)
        for column, key in enumerate(("tree", "branch", "label", "generation")):
            mesh.cell_data[key] = np.array([cell[column] for cell in cells], np.int32)
    mesh.field_data["SPACE"], mesh.field_data["UNIT"], mesh.field_data["note"] = ["LPS"], ["mm"], [NOTE]
    mesh.field_data["trees"] = list(found.trees)
    with whole_file(path) as temporary:
        mesh.save(temporary, binary=True)


def _branch(named: NamedTree, number: int, names: LabelNames) -> dict[str, Any]:
    branch, service = named.tree.branches[number], named.services[number]
    record: dict[str, Any] = {
        "id": branch.id,
        "parent": branch.parent if branch.parent >= 0 else None,
        "generation": branch.generation,
        "label": service.label,
        "name": names.name(service.label) if service.label else "",
        "confidence": round(service.confidence, 3),
        "own_share": round(service.own_share, 3),
        "length_mm": round(branch.length_mm, 2),
        "mean_diameter_mm": round(branch.mean_diameter_mm, 2),
        "lies_in": list(service.lies_in),
        "feeds": list(service.feeds),
        "joined_gap_mm": round(branch.joined_gap_mm, 2),
        "root": branch.piece,
        "points_mm": _rounded(branch.points_mm),
        "radii_mm": _rounded(branch.radii_mm),
    }
    if named.courses:
        course = named.courses[number]
        record["border_share"] = round(course.border_share, 3)
        record["between"] = list(course.between) if course.between else None
    return record


def _row(name: str, branch: Mapping[str, Any]) -> list[Any]:
    values = {**branch, "tree": name, "note": NOTE}
    return [_cell(values.get(column)) for column in COLUMNS]


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _named_variant(variant: Mapping[str, Any], names: LabelNames) -> dict[str, Any]:
    return {**variant, "names": [names.name(label) for label in variant["labels"]]}


def _rounded(values: np.ndarray) -> Any:
    return np.round(values, 2).tolist()

"""The table of ``measure``: cases on processes, one CSV file."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import whole_file
from impulse_nnunet.io.listing import find_image
from impulse_nnunet.jobs.pool import Failure, Work, outcomes
from impulse_nnunet.outputs.cases import read_segments
from impulse_nnunet.outputs.measure import Measurement, measure
from impulse_nnunet.outputs.names import LabelNames
from impulse_nnunet.outputs.trees import trees_of

COLUMNS = ("case", "label", "name", "voxels", "volume_ml", "surface_mm2", "mean_hu")  # scripts rely on these
MORE = ("kind", "lobe", "share_of_lobe", "extent_x_mm", "extent_y_mm", "extent_z_mm", "emphysema_share", "missing")


@dataclass(frozen=True, kw_only=True)
class MeasureItem:
    """What is read for one case.

    Args:
        case: Identifier.
        segments: Label map.
        ct: CT on its grid, or None.
        trees: Tree -> label map on its grid.
        names: Of the labels.
        labels: To measure; None takes all.
    """

    case: str
    segments: Path
    ct: Path | None
    trees: Mapping[str, Path]
    names: LabelNames
    labels: tuple[int, ...] | None


@dataclass(frozen=True)
class Measured:
    """What came of the cases.

    Args:
        rows: Case -> its measurements, in order.
        failures: Case -> one line.
    """

    rows: dict[str, list[Measurement]]
    failures: dict[str, str]


def items_of(
    cases: Mapping[str, Path],
    names: LabelNames,
    labels: tuple[int, ...] | None,
    ct: Path | None,
    trees: Path | None,
) -> tuple[list[MeasureItem], dict[str, str]]:
    """What to read for each case, and case -> reason for those whose CT or tree is missing.

    Args:
        cases: Case -> label map.
        names: Of the labels.
        labels: To measure; None takes all.
        ct: A CT for a single case, or a folder of ``CASE_0000.*`` or ``CASE.*``.
        trees: Folder of airway and vessel masks (:func:`~.trees.trees_of`), or None.
    """
    items, failures = [], {}
    images = None if ct is None else _images(ct, cases)
    for case, path in cases.items():
        try:
            image = None if images is None else _image_of(case, images, ct)
            files = {} if trees is None else trees_of(case, trees, path)
            items.append(MeasureItem(case=case, segments=path, ct=image, trees=files, names=names, labels=labels))
        except InputError as error:
            failures[case] = str(error)
    return items, failures


def measure_cases(items: Sequence[MeasureItem], processes: int = 1, progress: bool = True) -> Measured:
    """Measure cases; one that cannot be measured stops no other."""
    rows: dict[str, list[Measurement]] = {}
    failures: dict[str, str] = {}
    bar = tqdm(total=len(items), desc="measuring", unit="case", disable=not progress)
    for item, outcome in outcomes(Work(function=_measure, case=_case_of, result="numbers"), items, processes):
        if isinstance(outcome, Failure):
            failures[item.case] = outcome.reason
            tqdm.write(f"{item.case} failed: {outcome.reason}") if progress else None
        else:
            rows[item.case] = outcome
        bar.update()
    bar.close()
    return Measured({item.case: rows[item.case] for item in items if item.case in rows}, failures)


def write_table(measured: Measured, trees: Sequence[str], path: Path) -> None:
    """Write the rows of all cases; the file appears only when it is whole."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, *MORE, *(f"{name}_ml" for name in trees)])
        for case, rows in measured.rows.items():
            writer.writerows([case, *_cells(row, trees)] for row in rows)


def _cells(row: Measurement, trees: Sequence[str]) -> list[str]:
    group = row.group
    return [
        group.label,
        group.name,
        str(row.voxels),
        f"{row.volume_ml:.4f}",
        f"{row.surface_mm2:.1f}",
        _number(row.mean_hu, 2),
        group.kind,
        group.lobe or "",
        _number(row.share_of_lobe, 5),
        *(f"{length:.2f}" for length in row.extent_mm),
        _number(row.emphysema_share, 5),
        "+".join(map(str, group.missing)),
        *(f"{row.trees_ml[name]:.4f}" for name in trees),
    ]


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _measure(item: MeasureItem) -> list[Measurement]:
    return measure(read_segments(item.segments, item.names, item.labels), item.ct, item.trees)


def _case_of(item: MeasureItem) -> str:
    return item.case


def _images(ct: Path, cases: Mapping[str, Path]) -> dict[str, Path]:
    """Case -> image, of a folder, or of a file for the only case."""
    if ct.is_dir():
        found = {case: find_image(ct, case) for case in cases}
        return {case: path for case, path in found.items() if path is not None}
    if len(cases) > 1:
        raise InputError("`ct`", f"{ct}", f"a folder of CTs, for {len(cases)} cases", "give the folder")
    return dict.fromkeys(cases, ct)


def _image_of(case: str, images: Mapping[str, Path], ct: Path | None) -> Path:
    if case not in images:
        raise InputError(case, f"no CT in {ct}", f"{case}_0000.nii.gz, or another ending", "add it, or leave `ct` out")
    return images[case]

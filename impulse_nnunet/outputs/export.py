"""Label maps as files for other programs: case by case, on processes, resumable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from impulse_nnunet import __version__
from impulse_nnunet.errors import InputError
from impulse_nnunet.jobs.case_records import RECORDS
from impulse_nnunet.jobs.content import Contents
from impulse_nnunet.jobs.pool import Failure, Work, outcomes
from impulse_nnunet.jobs.record import DONE, Inputs, Record
from impulse_nnunet.outputs.cases import Segments, read_segments
from impulse_nnunet.outputs.formats import FORMATS, Content
from impulse_nnunet.outputs.names import LabelNames
from impulse_nnunet.outputs.scene import LPS, SPACES
from impulse_nnunet.outputs.trees import read_trees, trees_of

FILES = "files"
MOST_NAMED = 8  # labels in one line


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What to write.

    Args:
        output: Folder.
        names: Of the labels.
        formats: Names of :data:`~impulse_nnunet.outputs.formats.FORMATS`.
        labels: Labels to write; None writes all.
        smooth_mm: Of the surfaces; None is half the diagonal of a voxel, 0 leaves the voxels' border.
        space: ``LPS`` or ``RAS``.
        dicom: Folder of the source series, for formats that need it.
        trees: Folder of airway and vessel masks, to be shown beside the labels (:func:`~.trees.trees_of`); or None.
        start_over: Write files again that were written from the same label map with the same options.
    """

    output: Path
    names: LabelNames
    formats: tuple[str, ...]
    labels: tuple[int, ...] | None = None
    smooth_mm: float | None = None
    space: str = LPS
    dicom: Path | None = None
    trees: Path | None = None
    start_over: bool = False

    def __post_init__(self) -> None:
        wrong = next((name for name in self.formats if name not in FORMATS), None)
        if wrong is not None or not self.formats:
            raise InputError("`format`", repr(wrong or ""), f"some of {', '.join(FORMATS)}", "choose among them")
        if self.space not in SPACES:
            raise InputError("`space`", repr(self.space), " or ".join(SPACES), "choose one")
        if self.smooth_mm is not None and not 0 <= self.smooth_mm < float("inf"):
            raise InputError("`smooth_mm`", f"{self.smooth_mm}", "a distance in mm, 0 or more", "correct it")

    def record(self) -> dict[str, Any]:
        """What decides the files of a format, besides the label map."""
        names = self.names
        return {
            "names": {str(label): name for label, name in names.names.items()},
            "lobes": {lobe: list(labels) for lobe, labels in names.lobes.items()},
            "ignore_label": names.ignore_label,
            "labels": None if self.labels is None else list(self.labels),
            "smooth_mm": self.smooth_mm,
            "space": self.space,
            "dicom": None if self.dicom is None else Contents().digest(self.dicom),
            "version": __version__,
        }


@dataclass(frozen=True)
class Exported:
    """What came of a folder.

    Args:
        files: Case -> its files, those that were there already included.
        notes: Case -> one line about labels without voxels.
        failures: Case -> one line.
    """

    files: dict[str, list[Path]]
    notes: dict[str, str]
    failures: dict[str, str]


def export_cases(
    cases: Mapping[str, Path], options: ExportOptions, processes: int = 1, progress: bool = True
) -> Exported:
    """Write the files of cases; a case that cannot be written stops no other."""
    work = Work(function=partial(export_case, options=options), case=_case_of, result="files")
    files: dict[str, list[Path]] = {}
    notes: dict[str, str] = {}
    failures: dict[str, str] = {}
    bar = tqdm(total=len(cases), desc="exporting", unit="case", disable=not progress)
    for (case, _), outcome in outcomes(work, list(cases.items()), processes):
        if isinstance(outcome, Failure):
            failures[case] = outcome.reason
            tqdm.write(f"{case} failed: {outcome.reason}") if progress else None
        else:
            files[case], note = outcome
            notes |= {case: note} if note else {}
        bar.update()
    bar.close()
    ordered = {case: files[case] for case in cases if case in files}
    return Exported(ordered, dict(sorted(notes.items())), dict(sorted(failures.items())))


def export_case(item: tuple[str, Path], options: ExportOptions) -> tuple[list[Path], str]:
    """Write the files of one case in all formats; those that a record proves made stay.

    Args:
        item: Case identifier and label map.
        options: What to write.

    Returns:
        The files, and what to say of labels without voxels where files were written.

    Raises:
        InputError: A label map that cannot be used, or a full disk.
    """
    case, path = item
    trees = {} if options.trees is None else trees_of(case, options.trees, path)
    inputs = Inputs(options.record(), {"segments": path, **{f"tree {name}": file for name, file in trees.items()}})
    records = {name: Record(options.output / RECORDS / name / f"{case}.json") for name in options.formats}
    made = {name: _files_of(record, options.output) for name, record in records.items()}
    todo = [n for n, record in records.items() if options.start_over or not _is_made(record, inputs, made[n])]
    note = ""
    if todo:
        for name in todo:
            for file in made[name]:
                file.unlink(missing_ok=True)
            records[name].begin(inputs)
        segments = read_segments(path, options.names, options.labels)
        note = absent_note(segments)
        content = Content(
            case=case,
            segments=segments,
            smooth_mm=options.smooth_mm,
            space=options.space,
            trees=read_trees(trees, segments.label_map),
            dicom=options.dicom,
        )
        for name in todo:
            made[name] = FORMATS[name](content, options.output)
            written = {FILES: [str(file.relative_to(options.output)) for file in made[name]]}
            records[name].finish(written, made[name])
    return [file for name in options.formats for file in made[name]], note


def absent_note(segments: Segments) -> str:
    """One line about labels without voxels; empty if there are none."""
    names = [f"{label} {segments.names.name(label)}" for label in segments.absent]
    if not names:
        return ""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"no voxels of {', '.join(names[:MOST_NAMED])}{more}"


def _files_of(record: Record, output: Path) -> list[Path]:
    """Files that a record says were written; never any outside the output folder."""
    names = record.result().get(FILES, [])
    return [
        output / str(name) for name in names if ".." not in Path(str(name)).parts and not Path(str(name)).is_absolute()
    ]


def _is_made(record: Record, inputs: Inputs, files: list[Path]) -> bool:
    return bool(files) and record.status(inputs).state == DONE and record.products_are_unchanged(files)


def _case_of(item: tuple[str, Path]) -> str:
    return item[0]

"""The page of a folder of predictions without references: what was noted, volumes, pictures."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.report.cells import Cell, Table, words
from impulse_nnunet.evaluation.report.gallery import CaseSection, PictureRow, legend_of, slice_rows
from impulse_nnunet.evaluation.report.loading import NoPictureError, load_predicted
from impulse_nnunet.evaluation.report.page import (
    ReportOptions,
    check_output,
    fill_template,
    flat_settings,
    made_by,
    pages_beside,
)
from impulse_nnunet.evaluation.report.pages import PageFolder
from impulse_nnunet.evaluation.report.pictures import from_pixels
from impulse_nnunet.evaluation.report.predicted import PredictedCase, PredictedFolder, choose_predicted, read_predicted
from impulse_nnunet.evaluation.report.scenes import PIXELS, VIEWS, NoViewsError, draw_labels
from impulse_nnunet.evaluation.report.slices import draw_planes
from impulse_nnunet.evaluation.report.volumes import CaseVolumes
from impulse_nnunet.jobs.prediction_file import FAILED, OK, WARNED
from impulse_nnunet.outputs.colours import LabelStyle, label_style, to_hex
from impulse_nnunet.outputs.names import LabelNames, named
from impulse_nnunet.outputs.page.files import case_files

TEMPLATE = "predicted.html"
STATES = (OK, WARNED, FAILED, "unknown")

logger = logging.getLogger(__name__)


def write_predicted_report(folder: Path, output: Path, options: ReportOptions | None = None) -> Path:
    """Write the report of a folder without references.

    Args:
        folder: Of the predictions.
        output: The file; its folder is made, and it appears only when it is whole.
        options: Default: :class:`~impulse_nnunet.evaluation.report.page.ReportOptions`.

    Raises:
        InputError: No predictions, an unknown case, no folder of images, or ``output`` is a folder.
    """
    options = options or ReportOptions()
    check_output(output, options)
    predicted = read_predicted(folder)
    return fill_template(TEMPLATE, _content(predicted, options, pages_beside(output, options)), output)


def _content(predicted: PredictedFolder, options: ReportOptions, pages: PageFolder | None) -> dict[str, Any]:
    scheme = predicted.scheme
    style = label_style(scheme.names, {name: list(members) for name, members in scheme.lobes.items()})
    drawn = _Drawing(style, options, named(scheme), pages)
    sections = [
        drawn.section(predicted.cases[name], why) for name, why in choose_predicted(predicted, options.cases).items()
    ]
    return made_by() | {
        "title": options.title or f"Predictions in {predicted.folder.resolve().name}",
        "number_of_cases": len(predicted.cases),
        "counts": ", ".join(f"{len(found)} {state}" for state in STATES if (found := predicted.in_state(state))),
        "failed": {case.name: case.notes for case in predicted.in_state(FAILED)},
        "left_out": predicted.left_out,
        "doubtful": {case.name: case.notes for case in predicted.in_state(WARNED, "unknown")},
        "case_table": case_table(predicted),
        "volume_table": volume_table(predicted, style),
        "legend": legend_of(style, list(scheme.names)),
        "sections": sections,
        "no_views": drawn.no_views,
        "runs": [_run_table(name, run) for name, run in predicted.runs.items()],
    }


def case_table(predicted: PredictedFolder) -> Table:
    """A row for each case: its state, what was noted, seconds."""
    rows = []
    for case in predicted.cases.values():
        seconds = "" if case.seconds is None else f"{case.seconds:.1f}"
        total = f"{sum(case.volumes_ml.values()):.1f}" if case.file is not None else ""
        noted = words("; ".join(case.notes))
        state = Cell(case.state, strong=case.state != OK, is_number=False)
        rows.append([words(case.name), state, noted, Cell(total), Cell(seconds)])
    head = [[words("case"), words("state"), words("noted"), Cell("all labels (ml)"), Cell("seconds")]]
    return Table("Cases", head, rows)


def volume_table(predicted: PredictedFolder, style: LabelStyle) -> Table:
    """Millilitres: a row for each case, a column for each label; the median and the range over the cases above."""
    cases = [case for case in predicted.cases.values() if case.file is not None]
    found = {label for case in cases for label in case.volumes_ml}
    labels = [*predicted.scheme.names, *sorted(found - set(predicted.scheme.names))]
    values = {label: [case.volumes_ml.get(label, 0.0) for case in cases] for label in labels}
    rows = []
    if len(cases) > 1:
        medians = [Cell(f"{np.median(v):.1f}", f"{min(v):.1f} to {max(v):.1f}") for v in values.values()]
        rows.append([words("median, range"), *medians])
    for number, case in enumerate(cases):
        row = [values[label][number] for label in labels]
        rows.append([words(case.name), *(Cell(f"{ml:.1f}" if ml else "none", strong=not ml) for ml in row)])
    names = [predicted.scheme.names.get(label, f"label {label} (not in dataset.json)") for label in labels]
    columns = zip(labels, names, strict=True)
    head = [[words("case"), *(Cell(name, swatch=to_hex(style.colour(label))) for label, name in columns)]]
    return Table("Volumes (ml)", head, rows, "Voxels of a label times the volume of a voxel; none: no voxel has it.")


def _run_table(name: str, run: Mapping[str, Any]) -> Table:
    rows = [[words(key), Cell(value, is_number=False)] for key, value in flat_settings(run).items()]
    return Table(f"Run {name}", [[words("setting"), words("value")]], rows)


class _Drawing:
    """Draws cases; after a failure of three-dimensional drawing it goes on without.

    Args:
        style: Colours and names of the labels.
        options: Options of the report.
        names: Names of the labels, for the pages of single cases.
        pages: Where such pages go, or None for none.
    """

    def __init__(self, style: LabelStyle, options: ReportOptions, names: LabelNames, pages: PageFolder | None) -> None:
        self.style, self.options, self.names, self.pages, self.no_views = style, options, names, pages, ""

    def section(self, case: PredictedCase, why: str) -> CaseSection:
        """One case; what cannot be drawn becomes a note."""
        logger.info("drawing %s", case.name)
        facts = [f"all labels: {sum(case.volumes_ml.values()):.1f} ml"]
        try:
            volumes = load_predicted(case.name, case.file, self.options.images)
        except NoPictureError as error:
            return CaseSection(
                case=case.name, why=why, facts=facts, notes=[*case.notes, f"no pictures: {error}"], rows=[]
            )
        rows = slice_rows(draw_planes(volumes, self.style, case.name))
        if self.options.views and not self.no_views:
            try:
                rows.append(self._views(volumes, case.name))
            except NoViewsError as error:
                self.no_views = str(error)
                logger.warning("no three-dimensional views: %s", error)
        notes = [*case.notes, *volumes.notes]
        links = self._links(case, notes)
        return CaseSection(case=case.name, why=why, facts=facts, notes=notes, rows=rows, pages=links)

    def _links(self, case: PredictedCase, notes: list[str]) -> list[tuple[str, str]]:
        if self.pages is None or case.file is None:
            return []
        try:
            files = case_files(case.name, case.file, images=self.options.images)
            return [(case.name, self.pages.link(files, self.names, case.name))]
        except InputError as error:
            notes.append(f"no page: {error}")
            return []

    def _views(self, volumes: CaseVolumes, case: str) -> PictureRow:
        pictures = []
        for view in VIEWS:
            pixels = draw_labels({"labels": volumes.reference}, volumes.spacing_mm, self.style.colours, view)["labels"]
            alt = f"{case}: predicted labels from the {view}"
            pictures.append((f"from the {view}", from_pixels(pixels, alt, shaded=True)))
        return PictureRow("Labels in three dimensions", pictures, PIXELS)

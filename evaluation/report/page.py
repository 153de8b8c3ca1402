"""The page: everything put together into one file."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from impulse_nnunet import __version__
from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.comparison.checks import check_references, check_settings
from impulse_nnunet.evaluation.comparison.methods import Method
from impulse_nnunet.evaluation.report import tables
from impulse_nnunet.evaluation.report.boxplots import box_plots
from impulse_nnunet.evaluation.report.cells import Cell, Table, words
from impulse_nnunet.evaluation.report.gallery import Gallery, choose_cases, legend_of
from impulse_nnunet.evaluation.report.metrics import is_nsd
from impulse_nnunet.evaluation.report.pages import PageFolder
from impulse_nnunet.evaluation.report.pictures import Picture
from impulse_nnunet.evaluation.report.summaries import Evaluation, read_evaluations
from impulse_nnunet.io.files import whole_file
from impulse_nnunet.jobs.prediction_file import findings_of
from impulse_nnunet.outputs.colours import INTRUSION, TREE, LabelStyle, label_style

NAMED = 10
FEW_CASES = 20  # below, bootstrap intervals are noticeably too narrow


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What a report shows.

    Args:
        cases: Identifiers of cases, or one number: that many from the worst to the best.
        views: Whether three-dimensional views are drawn.
        title: Title of the page; None names the methods.
        images: Folder of images CASE_0000.* behind the slices, or None.
        pages: Whether a page in three dimensions is written for each case that is shown, in a folder beside the report.
    """

    cases: Sequence[str] = ("3",)
    views: bool = True
    title: str | None = None
    images: Path | None = None
    pages: bool = False


def write_report(folders: Sequence[str], output: Path, options: ReportOptions | None = None) -> Path:
    """Write the report.

    Args:
        folders: FOLDER or NAME=FOLDER each, with a summary.json of ``impulse_nnunet evaluate``.
        output: The file; its folder is made, and it appears only when it is whole.
        options: Default: :class:`ReportOptions`.

    Raises:
        InputError: A folder without a summary of ours, an unknown case, no folder of images, or ``output`` is a folder.
    """
    options = options or ReportOptions()
    check_output(output, options)
    methods = read_evaluations(folders)
    return fill_template("template.html", _content(methods, options, pages_beside(output, options)), output)


def pages_beside(output: Path, options: ReportOptions) -> PageFolder | None:
    """Where the pages of single cases go, if they are asked for: REPORT_pages beside the report."""
    return PageFolder(output.with_name(f"{output.stem}_pages"), options.images) if options.pages else None


def check_output(output: Path, options: ReportOptions) -> None:
    """Refuse a folder in place of the report's file, and images that are no folder.

    Raises:
        InputError: Naming it.
    """
    if output.is_dir():
        raise InputError("`output`", f"{output}, a folder", "a file", f"e.g. `output` {output / 'report.html'}")
    if options.images is not None and not options.images.is_dir():
        raise InputError("`images`", f"no folder {options.images}", "a folder of CASE_0000.* files", "check the path")


def fill_template(template: str, content: Mapping[str, Any], output: Path) -> Path:
    """Fill a template of this folder and write it."""
    environment = Environment(
        loader=PackageLoader("impulse_nnunet.evaluation.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(content)
    with whole_file(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return output


def _content(methods: Sequence[Evaluation], options: ReportOptions, pages: PageFolder | None) -> dict[str, Any]:
    style = label_style(
        {label: name for method in methods for label, name in method.label_names.items()}, _lobes(methods)
    )
    chosen = choose_cases(methods, options.cases)
    gallery = Gallery(methods=methods, style=style, images=options.images, views=options.views, pages=pages)
    sections = [gallery.section(case, why) for case, why in chosen.items()]
    names = ", ".join(tables.names_of(methods))
    return made_by() | {
        "title": options.title or f"Evaluation of {names}",
        "methods": methods,
        "number_of_cases": len(tables.cases_by_dice(methods)),
        "number_of_labels": len(tables.evaluated_labels(methods)),
        "notes": _notes(methods),
        "settings": settings_table(methods),
        "paper": tables.paper_table(methods),
        "trees": tables.tree_table(methods),
        "intrusions": tables.intrusions_by_label(methods, style),
        "labels": tables.label_table(methods, style),
        "case_table": tables.case_table(methods),
        "box_plots": _box_plots(methods, style),
        "legend": legend_of(style, tables.evaluated_labels(methods)),
        "sections": sections,
        "no_views": gallery.no_views,
        "with_trees": bool(tables.tree_names(methods)),
        "intrusion_colour": INTRUSION,
        "tree_colour": TREE,
    }


def made_by() -> dict[str, str]:
    """When and by which version a page is made."""
    return {"made": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"), "version": __version__}


def settings_table(methods: Sequence[Evaluation]) -> Table:
    """Every setting of the evaluation, with those in bold that differ."""
    flat = [flat_settings(method.settings) for method in methods]
    rows = []
    for name in tables.union(flat):
        values = [settings.get(name, "not set") for settings in flat]
        differs = len(set(values)) > 1
        shown = values if differs or len(values) == 1 else values[:1]
        rows.append(
            [
                words(name),
                *(Cell(value, strong=differs, is_number=False, columns=len(values) // len(shown)) for value in shown),
            ]
        )
    return Table("Settings of the evaluation", [[words("setting"), *map(words, tables.names_of(methods))]], rows)


def _notes(methods: Sequence[Evaluation]) -> list[str]:
    """What a reader must know before comparing the numbers."""
    compared = [Method(method.name, (method.summary,)) for method in methods]
    notes = [*check_settings(compared, True), *check_references(compared, True)] if len(methods) > 1 else []
    everywhere = set.intersection(*(set(method.cases) for method in methods))
    if any(set(method.cases) != everywhere for method in methods):
        counts = ", ".join(f"{method.name} {len(method.cases)}" for method in methods)
        notes.append(
            f"The methods have different cases ({counts}; {len(everywhere)} in all of them), "
            "and means are over a method's own cases."
        )
    notes += [line for method in methods if (line := _found_at_prediction(method))]
    fewest = min(len(method.cases) for method in methods)
    if fewest < FEW_CASES:
        notes.append(f"With so few cases ({fewest}) bootstrap intervals are somewhat too narrow.")
    if any(int(method.settings.get("min_size") or 1) > 1 for method in methods):
        notes.append("Pictures also mark intrusions that are smaller than the evaluation's min_size.")
    return notes


def _found_at_prediction(method: Evaluation) -> str:
    """One line on the evaluated cases that were predicted with findings; empty if there are none."""
    folders = {result.prediction_file.parent for result in method.cases.values()}
    found = {case: noted for folder in folders for case, noted in findings_of(folder).items() if noted}
    named = [f"{case} ({', '.join(one.kind for one in found[case])})" for case in method.cases if case in found]
    if not named:
        return ""
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return f"Cases of {method.name} that were predicted with findings: {', '.join(named[:NAMED])}{more}."


def _box_plots(methods: Sequence[Evaluation], style: LabelStyle) -> list[Picture]:
    labels = tables.evaluated_labels(methods)
    names = tables.union(values for method in methods for values in method.mean.values())
    metrics = [name for name in ("Dice", next((name for name in names if is_nsd(name)), None)) if name in names]
    return [box_plots(methods, labels, metric, style) for metric in metrics if metric and labels]


def _lobes(methods: Sequence[Evaluation]) -> dict[str, list[int]]:
    return next((method.lobes for method in methods if method.lobes), {})


def flat_settings(settings: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Nested settings by dotted names, as text."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat.update(flat_settings(value, f"{above}{name}."))
        else:
            flat[f"{above}{name}"] = value if isinstance(value, str) else json.dumps(value)
    return flat

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
from impulse_nnunet.evaluation.report.gallery import Gallery, choose_cases
from impulse_nnunet.evaluation.report.metrics import is_nsd
from impulse_nnunet.evaluation.report.pictures import Picture
from impulse_nnunet.evaluation.report.summaries import Evaluation, read_evaluations
from impulse_nnunet.io.files import whole_file
from impulse_nnunet.outputs.colours import INTRUSION, TREE, LabelStyle, label_style, to_hex

FEW_CASES = 20  # below, bootstrap intervals are noticeably too narrow


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What a report shows.

    Args:
        cases: Identifiers of cases, or one number: that many from the worst to the best.
        views: Whether three-dimensional views are drawn.
        title: Of the page; None names the methods.
        images: Folder of images CASE_0000.* behind the slices, or None.
    """

    cases: Sequence[str] = ("3",)
    views: bool = True
    title: str | None = None
    images: Path | None = None


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
    if output.is_dir():
        raise InputError("`output`", f"{output}, a folder", "a file", f"e.g. `output` {output / 'report.html'}")
    if options.images is not None and not options.images.is_dir():
        raise InputError("`images`", f"no folder {options.images}", "a folder of CASE_0000.* files", "check the path")
    methods = read_evaluations(folders)
    content = _content(methods, options)
    environment = Environment(
        loader=PackageLoader("impulse_nnunet.evaluation.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("template.html").render(content)
    with whole_file(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return output


def _content(methods: Sequence[Evaluation], options: ReportOptions) -> dict[str, Any]:
    style = label_style(
        {label: name for method in methods for label, name in method.label_names.items()}, _lobes(methods)
    )
    chosen = choose_cases(methods, options.cases)
    gallery = Gallery(methods=methods, style=style, images=options.images, views=options.views)
    sections = [gallery.section(case, why) for case, why in chosen.items()]
    names = ", ".join(tables.names_of(methods))
    return {
        "title": options.title or f"Evaluation of {names}",
        "made": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "version": __version__,
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
        "legend": _legend(methods, style),
        "sections": sections,
        "no_views": gallery.no_views,
        "with_trees": bool(tables.tree_names(methods)),
        "intrusion_colour": INTRUSION,
        "tree_colour": TREE,
    }


def settings_table(methods: Sequence[Evaluation]) -> Table:
    """Every setting of the evaluation, with those in bold that differ."""
    flat = [_flat(method.settings) for method in methods]
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
    fewest = min(len(method.cases) for method in methods)
    if fewest < FEW_CASES:
        notes.append(f"With so few cases ({fewest}) bootstrap intervals are somewhat too narrow.")
    if any(int(method.settings.get("min_size") or 1) > 1 for method in methods):
        notes.append("Pictures also mark intrusions that are smaller than the evaluation's min_size.")
    return notes


def _box_plots(methods: Sequence[Evaluation], style: LabelStyle) -> list[Picture]:
    labels = tables.evaluated_labels(methods)
    names = tables.union(values for method in methods for values in method.mean.values())
    metrics = [name for name in ("Dice", next((name for name in names if is_nsd(name)), None)) if name in names]
    return [box_plots(methods, labels, metric, style) for metric in metrics if metric and labels]


def _lobes(methods: Sequence[Evaluation]) -> dict[str, list[int]]:
    return next((method.lobes for method in methods if method.lobes), {})


def _legend(methods: Sequence[Evaluation], style: LabelStyle) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Lobe -> (colour, short name, name) of its labels; one nameless group without lobes."""
    labels = tables.evaluated_labels(methods)
    groups = {lobe: [label for label in members if label in labels] for lobe, members in style.lobes.items()}
    grouped = {label for members in groups.values() for label in members}
    groups["other" if groups else ""] = [label for label in labels if label not in grouped]
    return [
        (
            lobe,
            [
                (to_hex(style.colour(label)), style.short.get(label, str(label)), style.names.get(label, str(label)))
                for label in members
            ],
        )
        for lobe, members in groups.items()
        if members
    ]


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat.update(_flat(value, f"{above}{name}."))
        else:
            flat[f"{above}{name}"] = value if isinstance(value, str) else json.dumps(value)
    return flat

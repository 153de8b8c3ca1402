"""Pictures of single cases: which cases, and what is shown of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.report.loading import NoPictureError, load_case
from impulse_nnunet.evaluation.report.metrics import heading, of_case
from impulse_nnunet.evaluation.report.pictures import Picture
from impulse_nnunet.evaluation.report.scenes import (
    PIXELS,
    VIEWS,
    Key,
    NoViewsError,
    draw_scenes,
    prediction_key,
    reference_key,
    tree_key,
)
from impulse_nnunet.evaluation.report.slices import LONGEST_SIDE, draw_planes
from impulse_nnunet.evaluation.report.summaries import Evaluation
from impulse_nnunet.evaluation.report.tables import cases_by_dice
from impulse_nnunet.evaluation.report.volumes import CaseVolumes
from impulse_nnunet.outputs.colours import LabelStyle

logger = logging.getLogger(__name__)

NAMED = 8  # cases that an error names


@dataclass(frozen=True)
class PictureRow:
    """Pictures beside each other.

    Args:
        title: What they share.
        pictures: (lead, picture) each; the lead is the method, or the view.
        whole: Pixels that fill a column: pictures of one scale keep it.
    """

    title: str
    pictures: list[tuple[str, Picture]]
    whole: int


@dataclass(frozen=True, kw_only=True)
class CaseSection:
    """One case of the report.

    Args:
        case: Identifier.
        why: Why it is shown.
        facts: Its main numbers, a line for each method.
        notes: What is missing and why.
        rows: Slices and views.
    """

    case: str
    why: str
    facts: list[str]
    notes: list[str]
    rows: list[PictureRow]


@dataclass(kw_only=True)
class Gallery:
    """Draws cases; after a failure of three-dimensional drawing it goes on without.

    Args:
        methods: All methods.
        style: Colours and names.
        images: Folder of images, or None.
        views: Whether three-dimensional views are wanted.
        no_views: Why there are none, empty as long as there are.
    """

    methods: Sequence[Evaluation]
    style: LabelStyle
    images: Path | None = None
    views: bool = True
    no_views: str = field(default="", init=False)

    def section(self, case: str, why: str) -> CaseSection:
        """Draw one case; what cannot be drawn becomes a note."""
        logger.info("drawing %s", case)
        facts = [line for method in self.methods if (line := _facts(method, case))]
        results = {method.name: method.cases[case] for method in self.methods if case in method.cases}
        notes = [f"{method.name} did not evaluate this case" for method in self.methods if case not in method.cases]
        settings = next(method.settings for method in self.methods if case in method.cases)
        try:
            volumes = load_case(results, settings, self.images)
        except NoPictureError as error:
            return CaseSection(case=case, why=why, facts=facts, notes=[*notes, f"no pictures: {error}"], rows=[])
        rows = slice_rows(draw_planes(volumes, self.style, case))
        if self.views and not self.no_views:
            try:
                rows += view_rows(volumes, draw_scenes(volumes, self.style, case))
            except NoViewsError as error:
                self.no_views = str(error)
                logger.warning("no three-dimensional views: %s", error)
        return CaseSection(case=case, why=why, facts=facts, notes=notes + volumes.notes, rows=rows)


def choose_cases(methods: Sequence[Evaluation], wanted: Sequence[str]) -> dict[str, str]:
    """Cases to show.

    Args:
        methods: All methods; cases are ordered by the Dice of the first.
        wanted: Identifiers, or one number: that many from the worst to the best.

    Returns:
        Case -> why it is shown.

    Raises:
        InputError: An identifier that was not evaluated.
    """
    ordered = cases_by_dice(methods)
    if len(wanted) != 1 or not wanted[0].isdigit() or wanted[0] in ordered:
        unknown = next((case for case in wanted if case not in ordered), None)
        if unknown is not None:
            some = ", ".join(ordered[:NAMED]) + (", ..." if len(ordered) > NAMED else "")
            raise InputError("`cases`", repr(unknown), f"evaluated cases ({some}) or a number", "correct it")
        return dict.fromkeys(wanted, "chosen")
    first = methods[0].cases
    ranked = [case for case in ordered if case in first and not math.isnan(first[case].dice)] or ordered
    number = min(int(wanted[0]), len(ranked))
    places = sorted({int(place) for place in np.linspace(0, len(ranked) - 1, number)}) if number else []
    return {ranked[place]: _rank(place, len(ranked), number) for place in places}


def slice_rows(planes: dict[str, dict[str, Picture]]) -> list[PictureRow]:
    """One method: the planes side by side; several: a row for each plane, a column for each method."""
    if all(len(pictures) == 1 for pictures in planes.values()):
        return [
            PictureRow(
                "Slices", [("", picture) for pictures in planes.values() for picture in pictures.values()], LONGEST_SIDE
            )
        ]
    return [PictureRow(f"Slices, {plane}", list(pictures.items()), LONGEST_SIDE) for plane, pictures in planes.items()]


def view_rows(volumes: CaseVolumes, views: dict[Key, Picture]) -> list[PictureRow]:
    """Segments of reference and methods from front and back; then each tree."""
    methods = list(volumes.predictions)
    several = len(methods) > 1
    rows = []
    for view in VIEWS:
        predicted = [(method, views[prediction_key(method, view)]) for method in methods]
        rows.append(
            PictureRow(f"Segments from the {view}", [("reference", views[reference_key(view)]), *predicted], PIXELS)
        )
    for tree in volumes.trees:
        title = f"{tree}, intruding branches in red" if tree in volumes.own else tree
        for views_together in [[view] for view in VIEWS] if several else [VIEWS]:
            pictures = [
                (method if several else f"from the {view}", views[tree_key(method, tree, view)])
                for method in methods
                for view in views_together
            ]
            rows.append(PictureRow(f"{title}, from the {views_together[0]}" if several else title, pictures, PIXELS))
    return rows


def _rank(place: int, of: int, number: int) -> str:
    if place == 0:
        return "worst" if of > 1 else "the only case"
    if place == of - 1:
        return "best"
    return "median" if number == 3 else f"rank {place + 1} of {of}"


def _facts(method: Evaluation, case: str) -> str:
    result = method.cases.get(case)
    if result is None:
        return ""
    numbers = {name: value for name, value in result.paper.items() if name == "Dice" or name.startswith("NI")}
    return f"{method.name}: " + ", ".join(f"{heading(name)[:-2]} {of_case(name, v)}" for name, v in numbers.items())

"""Tables as plain cells; the page's template sets them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from impulse_nnunet.evaluation.report.metrics import direction


@dataclass(frozen=True)
class Cell:
    """A cell.

    Args:
        text: What it says.
        below: A second, smaller line.
        swatch: Colour of a mark before the text, ``#RRGGBB``.
        strong: Set in bold.
        is_number: Aligned to the right.
        columns: Columns that it spans.
    """

    text: str
    below: str = ""
    swatch: str = ""
    strong: bool = False
    is_number: bool = True
    columns: int = 1


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        caption: What it shows.
        head: Rows of headings.
        rows: The first cell of each is its heading.
        note: Text below.
    """

    caption: str
    head: list[list[Cell]]
    rows: list[list[Cell]]
    note: str = ""


def words(content: str, swatch: str = "") -> Cell:
    """A cell of words."""
    return Cell(content, swatch=swatch, is_number=False)


def number_cells(metric: str, values: Sequence[float], write: Callable[[str, float], str]) -> list[Cell]:
    """Cells of one metric, a value for each method, the best in bold."""
    return best_in_bold(metric, values, [Cell(write(metric, value)) for value in values])


def best_in_bold(metric: str, values: Sequence[float], cells: Sequence[Cell]) -> list[Cell]:
    """Mark the best cells; equal texts are equally good; one value, or a metric without direction, has no best."""
    way = direction(metric)
    known = [(way * value, cell.text) for value, cell in zip(values, cells, strict=True) if not math.isnan(value)]
    if way == 0 or len(known) < 2:
        return list(cells)
    best = max(known)[1]
    return [replace(cell, strong=cell.text == best) for cell in cells]


def method_head(lead: str, groups: Sequence[str], methods: Sequence[str], last: str = "") -> list[list[Cell]]:
    """Headings: one row, or with several methods the groups above the methods.

    Args:
        lead: Above the rows' headings.
        groups: Each has a column for each method.
        methods: Names.
        last: Last of one more column without methods.
    """
    end = [Cell(last)] if last else []
    if len(methods) == 1:
        return [[words(lead), *(Cell(group) for group in groups), *end]]
    return [
        [words(lead), *(Cell(group, columns=len(methods)) for group in groups), *end],
        [words(""), *(Cell(method) for _ in groups for method in methods), *(Cell("") for _ in end)],
    ]

"""Writes a page: the built front end with a case's data in it."""

from __future__ import annotations

import datetime
import html
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from impulse_nnunet import __version__
from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import whole_file
from impulse_nnunet.outputs.names import LabelNames
from impulse_nnunet.outputs.page.case import PageFiles, read_page_case
from impulse_nnunet.outputs.page.content import page_content

BUILT = "viewer.html"
LARGEST_MB = 25.0
SMALLEST_MB = 2.0


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """How a page is made.

    Args:
        title: Of the page; None takes the case identifier.
        largest_mb: Size of the file, in 10^6 bytes, that grey values are made coarser for.
        is_hu: Whether images hold HU; None decides by their values.
        labels: Labels to show; None shows all.
    """

    title: str | None = None
    largest_mb: float = LARGEST_MB
    is_hu: bool | None = None
    labels: tuple[int, ...] | None = None


def write_page(files: PageFiles, names: LabelNames, output: Path, options: PageOptions | None = None) -> Path:
    """Write one case's page; it appears only when it is whole.

    Raises:
        InputError: Files that cannot be shown, or a size that leaves no room.
    """
    options = options or PageOptions()
    if not options.largest_mb >= SMALLEST_MB:
        raise InputError("`largest_mb`", f"{options.largest_mb:g}", f"{SMALLEST_MB:g} or more", "correct it")
    shell = _shell()
    case = read_page_case(files, names, options.is_hu, options.labels)
    day = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    largest = int(options.largest_mb * 1e6) - len(shell) - 100_000
    content = page_content(case, options.title or files.case, f"impulse_nnunet {__version__}, {day}", largest)
    page = _filled(shell, content.about, content.chunks.texts)
    with whole_file(output) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
    return output


def _shell() -> str:
    return resources.files("impulse_nnunet.outputs.page").joinpath(BUILT).read_text(encoding="utf-8")


def _filled(shell: str, about: dict[str, Any], chunks: list[str]) -> str:
    """The built page with its data; the text of JSON cannot end its script element."""
    data = json.dumps(about, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    scripts = [f'<script type="text/plain" id="chunk-{number}">{text}</script>' for number, text in enumerate(chunks)]
    title = html.escape(str(about["title"]))
    parts = {
        "TITLE": title,
        "GENERATOR": f"impulse_nnunet {__version__}",
        "CONTENT": data,
        "CHUNKS": "\n".join(scripts),
    }
    page = shell
    for name, text in parts.items():
        before, mark, after = page.partition(f"[[{name}]]")
        if not mark:
            raise ValueError(f"the built page has no [[{name}]], expected that of make viewer")
        page = before + text + after
    return page

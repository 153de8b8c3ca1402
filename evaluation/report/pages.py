"""Pages of single cases beside a report: the segments of each method in three dimensions and in slices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.report.summaries import CaseResult, Evaluation
from impulse_nnunet.outputs.names import LabelNames
from impulse_nnunet.outputs.page.case import PageFiles
from impulse_nnunet.outputs.page.files import case_files
from impulse_nnunet.outputs.page.write import PageOptions, write_page

UNSAFE = re.compile(r"[^\w.+-]+")


@dataclass(frozen=True)
class PageFolder:
    """Where the pages of a report go.

    Args:
        folder: Beside the report.
        images: Folder of CASE_0000.*, or None.
    """

    folder: Path
    images: Path | None = None

    def links(self, results: Mapping[str, tuple[Evaluation, CaseResult]], notes: list[str]) -> list[tuple[str, str]]:
        """Write a case's pages.

        Args:
            results: Method -> its evaluation and its result of the case.
            notes: Receives why there is no page.

        Returns:
            Method and link, relative to the report.
        """
        links = []
        for number, (name, (method, result)) in enumerate(results.items(), 1):
            method_part = f"_{number}" if len(results) > 1 else ""
            try:
                link = self.link(self._files(result), _names(method), f"{result.name}, {name}", method_part)
            except InputError as error:
                notes.append(f"no page of {name}: {error}")
                continue
            links.append((name, link))
        return links

    def link(self, files: PageFiles, names: LabelNames, title: str, method_part: str = "") -> str:
        """Write the page of a case; returns its link, relative to the report.

        Raises:
            InputError: The case's files cannot be read, or hold no label.
        """
        page = self.folder / f"{UNSAFE.sub('_', files.case)}{method_part}.html"
        write_page(files, names, page, PageOptions(title=title))
        return quote(f"{self.folder.name}/{page.name}")

    def _files(self, result: CaseResult) -> PageFiles:
        files = case_files(result.name, result.prediction_file, images=self.images)
        trees = {tree: Path(str(entry.get("file"))) for tree, entry in result.trees.items()}
        return PageFiles(case=files.case, labels=files.labels, image=files.image, trees=trees)


def _names(method: Evaluation) -> LabelNames:
    ignored = method.settings.get("ignore_label")
    return LabelNames(
        names=method.label_names,
        lobes={lobe: tuple(labels) for lobe, labels in method.lobes.items()},
        ignore_label=None if ignored is None else int(ignored),
    )

"""Pages of several cases, on processes; a case that cannot be shown stops no other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from impulse_nnunet.jobs.pool import Failure, Work, outcomes
from impulse_nnunet.outputs.names import LabelNames
from impulse_nnunet.outputs.page.files import case_files
from impulse_nnunet.outputs.page.write import PageOptions, write_page


@dataclass(frozen=True, kw_only=True)
class PageJob:
    """A page to write.

    Args:
        case: Identifier.
        labels: Label map.
        output: The page.
        names: Of the labels.
        images: File or folder; see :func:`~impulse_nnunet.outputs.page.files.case_files`.
        trees: Folder.
        lesion: File or folder.
        options: How it is made.
    """

    case: str
    labels: Path
    output: Path
    names: LabelNames
    images: Path | None = None
    trees: Path | None = None
    lesion: Path | None = None
    options: PageOptions = field(default_factory=PageOptions)


def write_job(job: PageJob) -> Path:
    """Write one page.

    Raises:
        InputError: Files that are not there or cannot be shown.
    """
    files = case_files(job.case, job.labels, images=job.images, trees=job.trees, lesion=job.lesion)
    return write_page(files, job.names, job.output, job.options)


def write_pages(jobs: Sequence[PageJob], processes: int = 1) -> Iterator[tuple[PageJob, Path | Failure]]:
    """Write pages; gives each with its file, or why there is none, as they are done."""
    return outcomes(Work(function=write_job, case=_case_of, result="a page"), jobs, processes)


def _case_of(job: PageJob) -> str:
    return job.case

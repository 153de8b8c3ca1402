"""``impulse_nnunet view``: one self-contained HTML file a case, with segments in three dimensions and in slices."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from impulse_nnunet.cli.reading_flags import add_reading_flags
from impulse_nnunet.cli.segment_flags import add_segment_flags, add_trees_flag, chosen_cases
from impulse_nnunet.errors import CasesFailedError, InputError

if TYPE_CHECKING:
    from impulse_nnunet.outputs.page.cases import PageJob

DESCRIPTION = """Write a page that opens in any browser, from a mail or a USB stick, without a network: segments, trees
and lesion in three dimensions (show, hide, opacity, isolate, explode), slices in three planes with outlines, a
crosshair that is the same point in all views, windows of grey values, a ruler in mm, volumes in ml. It takes any label
map, with the names of its dataset.json. Research use only: the page is not a medical device."""
EXAMPLES = """examples:
  impulse_nnunet view SEGMENTS/case_01.nii.gz -o case_01.html
  impulse_nnunet view case_01.nii.gz --ct case_01_0000.nii.gz --trees TREES --lesion tumour.nii.gz -o case_01.html
  impulse_nnunet view SEGMENTS --ct imagesTs -o PAGES          # a page for each case of a folder
"""
logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_reading_flags(parser)
    add_segment_flags(parser)
    parser.add_argument(
        "-o", required=True, metavar="FILE", help="the page, e.g. case.html; a folder gets CASE.html of each case"
    )
    parser.add_argument(
        "--ct", metavar="FILE", help="image behind the outlines, CT or other; or a folder with CASE_0000.* or CASE.*"
    )
    add_trees_flag(parser)
    parser.add_argument("--lesion", metavar="FILE", help="mask of a lesion; or a folder with CASE.*")
    parser.add_argument("--title", metavar="TEXT", help="title of the page (default: the case identifier)")
    parser.add_argument(
        "--largest_mb",
        type=float,
        default=25.0,
        metavar="MB",
        help="size of a page; grey values are made coarser until it fits (default: 25)",
    )


def run(options: argparse.Namespace) -> int:
    """Write the pages."""
    from tqdm import tqdm

    from impulse_nnunet.jobs.pool import Failure, default_processes
    from impulse_nnunet.outputs.page.cases import write_job, write_pages

    jobs = _jobs(options)
    if len(jobs) == 1:
        _tell(write_job(jobs[0]))
        return 0
    failures: dict[str, str] = {}
    outcomes = write_pages(jobs, default_processes() if options.np is None else options.np)
    for job, outcome in tqdm(outcomes, "pages", len(jobs), unit="case", disable=options.disable_progress_bar):
        if isinstance(outcome, Failure):
            failures[job.case] = outcome.reason
            logger.warning("%s", outcome.reason)
        else:
            _tell(outcome)
    if failures:
        raise CasesFailedError(dict(sorted(failures.items())), len(jobs))
    return 0


def _jobs(options: argparse.Namespace) -> list[PageJob]:
    from impulse_nnunet.outputs.page.cases import PageJob
    from impulse_nnunet.outputs.page.write import PageOptions

    cases, names = chosen_cases(options)
    outputs = _outputs(list(cases), Path(options.o), Path(options.segments).is_dir())
    labels = None if options.labels is None else names.chosen(options.labels)
    page = PageOptions(title=options.title, largest_mb=options.largest_mb, labels=labels)
    images, trees, lesion = (Path(given) if given else None for given in (options.ct, options.trees, options.lesion))
    return [
        PageJob(
            case=case,
            labels=path,
            output=outputs[case],
            names=names,
            images=images,
            trees=trees,
            lesion=lesion,
            options=page,
        )
        for case, path in cases.items()
    ]


def _outputs(cases: list[str], output: Path, of_folder: bool) -> dict[str, Path]:
    """Case -> its page."""
    is_file = output.suffix.lower() in (".html", ".htm") and not output.is_dir()
    if is_file and len(cases) > 1:
        remedy = f"e.g. `output` {output.with_suffix('')}"
        raise InputError("`output`", f"one file for {len(cases)} cases", "a folder", remedy)
    if not is_file and (output.is_file() or (output.suffix and not output.is_dir() and not of_folder)):
        raise InputError("`output`", str(output), "FILE.html or a folder", "correct it")
    return {case: output if is_file else output / f"{case}.html" for case in cases}


def _tell(page: Path) -> None:
    print(f"{page} ({page.stat().st_size / 1e6:.1f} MB)")

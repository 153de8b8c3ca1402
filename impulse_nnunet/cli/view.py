"""``impulse_nnunet view``: one self-contained HTML file a case, with segments in three dimensions and in slices."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from impulse_nnunet.cli.reading_flags import add_reading_flags
from impulse_nnunet.errors import CasesFailedError, InputError

DESCRIPTION = """Write a page that opens in any browser, from a mail or a USB stick, without a network: segments, trees and
lesion in three dimensions (show, hide, opacity, isolate, explode), slices in three planes with outlines, a crosshair
that is the same point in all views, windows of grey values, a ruler in mm, volumes in ml. It takes any label map. Names
come from dataset.json beside the label map or in the folder above, else from --names; without either, labels are
numbers. Research use only: the page is not a medical device."""
EXAMPLES = """examples:
  impulse_nnunet view SEGMENTS/case_01.nii.gz -o case_01.html
  impulse_nnunet view case_01.nii.gz --ct case_01_0000.nii.gz --trees TREES --lesion tumour.nii.gz -o case_01.html
  impulse_nnunet view SEGMENTS --ct imagesTs -o PAGES          # a page for each case of a folder
"""
logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_reading_flags(parser)
    parser.add_argument("segments", metavar="CASE_OR_FOLDER", help="a label map, or a folder of label maps")
    parser.add_argument(
        "-o", required=True, metavar="FILE", help="the page, e.g. case.html; for several cases a folder of CASE.html"
    )
    parser.add_argument("--ct", metavar="FILE_OR_FOLDER", help="image behind the outlines; in a folder CASE_0000.* or CASE.*")
    parser.add_argument(
        "--trees",
        metavar="FOLDER",
        help="masks of bronchi and vessels: airway/CASE.*, artery/CASE.*, vein/CASE.*, or airway.*, artery.*, vein.* "
        "of the one case",
    )
    parser.add_argument("--lesion", metavar="FILE_OR_FOLDER", help="mask of a lesion; in a folder CASE.*")
    parser.add_argument("--names", metavar="FILE", help="names of labels: a dataset.json, JSON or lines LABEL,NAME")
    parser.add_argument("--title", metavar="TEXT", help="title of the page (default: the case identifier)")
    parser.add_argument(
        "--largest_mb",
        type=float,
        default=25.0,
        metavar="MB",
        help="size of a page; grey values are made coarser until it fits (default: 25)",
    )
    parser.add_argument("--verbose", action="store_true", help="tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Write the pages."""
    from impulse_nnunet.outputs.names import find_names
    from impulse_nnunet.outputs.page.files import case_files, label_maps
    from impulse_nnunet.outputs.page.write import PageOptions, write_page

    segments = Path(options.segments)
    cases = label_maps(segments)
    outputs = _outputs(list(cases), Path(options.o))
    names = find_names(segments, Path(options.names) if options.names else None)
    page = PageOptions(title=options.title, largest_mb=options.largest_mb)
    beside = {
        name: Path(given) if (given := getattr(options, flag)) else None
        for name, flag in (("images", "ct"), ("trees", "trees"), ("lesion", "lesion"))
    }
    failures: dict[str, str] = {}
    for case, labels in cases.items():
        try:
            path = write_page(case_files(case, labels, **beside), names, outputs[case], page)
        except InputError as error:
            if len(cases) == 1:
                raise
            failures[case] = str(error)
            logger.warning("%s", error)
            continue
        print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    if failures:
        raise CasesFailedError(failures, len(cases))
    return 0


def _outputs(cases: list[str], output: Path) -> dict[str, Path]:
    """Case -> its page."""
    is_file = output.suffix.lower() in (".html", ".htm") and not output.is_dir()
    if is_file and len(cases) > 1:
        raise InputError("`output`", f"one file for {len(cases)} cases", "a folder", f"e.g. `output` {output.with_suffix('')}")
    if output.is_file() and not is_file:
        raise InputError("`output`", f"{output}, a file", "FILE.html or a folder", "correct it")
    return {case: output if is_file else output / f"{case}.html" for case in cases}

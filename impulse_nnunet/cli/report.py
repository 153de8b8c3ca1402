"""``impulse_nnunet report``: one self-contained HTML file about one or several evaluated prediction folders."""

from __future__ import annotations

import argparse
from pathlib import Path

from impulse_nnunet.cli.reading_flags import add_reading_flags
from impulse_nnunet.errors import InputError

DESCRIPTION = """Write one HTML file that opens anywhere without a network: tables with intervals, box plots for each
label, slices of the worst, the median and the best case, and three-dimensional views with the branches that leave their
own segment. The folders must have been evaluated with impulse_nnunet evaluate. One folder that was not, because there
is no ground truth, gets a report of what its prediction.json says of each case, of volumes in ml, and pictures.
Pictures are left out, with the reason in their place, where a case's files are gone or the machine cannot draw in
three dimensions."""
EXAMPLES = """examples:
  impulse_nnunet report PREDICTIONS -o report.html
  impulse_nnunet report impulse=A nnunet=B -o report.html --title "Test set" --images imagesTs
  impulse_nnunet report PREDICTIONS --images imagesTs      # no ground truth; into PREDICTIONS/report.html
  impulse_nnunet report PREDICTIONS -o report.html --view
  impulse_nnunet report PREDICTIONS -o report.html --cases lung_003 lung_017 --no_3d
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_reading_flags(parser)
    parser.add_argument(
        "folders",
        nargs="+",
        metavar="PRED_FOLDER",
        help="holds predictions, evaluated or one that is not; NAME=FOLDER names a method",
    )
    parser.add_argument(
        "-o", metavar="FILE", help="the report; its folder is made (default, for one folder: FOLDER/report.html)"
    )
    parser.add_argument(
        "--cases",
        nargs="+",
        default=["3"],
        metavar="CASE",
        help="cases to show, or a number: that many from the worst to the best Dice of the first folder, or, without "
        "scores, those with findings first (default: 3)",
    )
    parser.add_argument("--images", metavar="FOLDER", help="images CASE_0000.* to draw behind the slices")
    parser.add_argument("--title", metavar="TEXT", help="title of the page")
    parser.add_argument(
        "--view",
        action="store_true",
        help="also write the page of impulse_nnunet view for each case that is shown, into a folder beside the report",
    )
    parser.add_argument("--no_3d", action="store_true", help="no three-dimensional views")
    parser.add_argument("--verbose", action="store_true", help="tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Write the report."""
    from impulse_nnunet.evaluation.report.page import ReportOptions, write_report
    from impulse_nnunet.evaluation.report.predicted import is_predicted
    from impulse_nnunet.evaluation.report.predicted_page import write_predicted_report

    images = Path(options.images) if options.images else None
    report_options = ReportOptions(
        cases=options.cases, views=not options.no_3d, title=options.title, images=images, pages=options.view
    )
    only = Path(options.folders[0]) if len(options.folders) == 1 else None
    output = _output(options, only)
    if only is not None and is_predicted(only) and not (only / "summary.json").is_file():
        path = write_predicted_report(only, output, report_options)
    else:
        path = write_report(options.folders, output, report_options)
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def _output(options: argparse.Namespace, only: Path | None) -> Path:
    if options.o is not None:
        return Path(options.o)
    if only is not None and "=" not in only.name and not only.exists():
        raise InputError(str(only), "no such folder", "a folder of predictions", "check the path")
    if only is None or not only.is_dir():
        raise InputError("-o", "nothing", "a file, where one folder does not tell its place", "e.g. -o report.html")
    return only / "report.html"

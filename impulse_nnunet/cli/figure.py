"""``impulse_nnunet figure``: the paper's figures from a table's runs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from impulse_nnunet.cli.device import add_device_flag, checked_device
from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import check_is_no_file

DESCRIPTION = """Draw a figure of the paper, as PNG and SVG. 6: template, after deformation, after correction, ground
truth. 7: without and with template. 8 and 9: systems side by side in two and in three dimensions, errors in red.
10: metrics against 1 - gamma. Figures are drawn from the runs that impulse_nnunet table finished: 6 from table 1, 2 or
3, 7 from table 2 or 1, 8 and 9 from table 1, 10 from fig10."""
EXAMPLES = """examples:
  impulse_nnunet figure 6 -d 803 --study STUDY -o FIGURES
  impulse_nnunet figure 8 -d 803 --study STUDY -o FIGURES --case phantom_90003 --rows nnunet impulse plus
  impulse_nnunet figure 10 -d 803 --study STUDY -o FIGURES
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; those with one dash are nnU-Net's own."""
    add = parser.add_argument
    add("number", choices=["6", "7", "8", "9", "10"], help="of the paper's figure")
    add("-d", type=int, required=True, metavar="ID", help="data set of the table")
    add("--study", required=True, metavar="FOLDER", help="-o of impulse_nnunet table")
    add("-o", required=True, metavar="FOLDER", help="for the pictures")
    add("--case", metavar="CASE", help="default: the case of median Dice")
    add("--rows", nargs="+", default=[], metavar="KEY", help="systems of figures 8 and 9 (default: all finished ones)")
    add("-f", default="0", metavar="FOLD", help="fold of the table (default: 0)")
    add_device_flag(parser, "cpu", "for figure 6")
    add("--verbose", action="store_true", help="tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Draw."""
    from impulse_nnunet.runtime.environment import ensure_variables

    ensure_variables()
    from impulse_nnunet.nnunet.planning import dataset_name, require_folders
    from impulse_nnunet.studies.figures import FigureOptions, make_figure

    require_folders()
    if not options.f.isdigit():
        raise InputError("-f", repr(options.f), "a fold number", "e.g. -f 0")
    check_is_no_file(Path(options.o))
    raw = Path(os.environ["nnUNet_raw"], dataset_name(options.d))
    paths = make_figure(
        FigureOptions(
            number=options.number,
            raw=raw,
            study=Path(options.study),
            output=Path(options.o),
            case=options.case,
            rows=tuple(options.rows),
            fold=int(options.f),
            device=checked_device(options.device) or "cpu",
        )
    )
    print("\n".join(str(path) for path in paths))
    return 0

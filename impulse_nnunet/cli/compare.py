"""``impulse_nnunet compare``: methods side by side, with intervals and paired tests."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

DESCRIPTION = """Compare methods that were evaluated on the same cases: one table of means with bootstrap intervals, and
paired tests (t-test and permutation test, Holm's correction) of every method against a reference, the first one unless
--reference says otherwise. Files of nnU-Net's own evaluation are read too; they give Dice. Choose --metrics before you
look at the numbers: the correction runs over those in the table."""
EXAMPLES = """examples:
  impulse_nnunet compare nnunet=A/summary.json ours=B/summary.json
  impulse_nnunet compare nnunet=A ours=B1,B2,B3 -o COMPARISON      # three runs of ours; folders with a summary.json
  impulse_nnunet compare A B C --reference B --metrics Dice NSD_1mm NIB IDB_mm
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "methods",
        nargs="+",
        metavar="METHOD",
        help="PATH, NAME=PATH, or NAME=PATH,PATH,... for several runs; a summary.json or the folder that holds one",
    )
    parser.add_argument("-o", metavar="FOLDER", help="also write comparison.md, .csv, .tex and .json there")
    parser.add_argument("--reference", metavar="NAME", help="test the others against this method (default: the first)")
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="METRIC",
        help='as named under "paper" in summary.json, or: all (default: all but total_ID*, share_* and Dice_TREE)',
    )
    parser.add_argument("--level", type=float, default=0.95, help="of the intervals (default: 0.95)")
    parser.add_argument("--bootstrap", type=int, default=10_000, metavar="N", help="resamples (default: 10000)")
    parser.add_argument(
        "--permutations",
        type=int,
        default=10_000,
        metavar="N",
        help="random sign flips; all of them where they are not more (default: 10000)",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--allow_different_settings",
        action="store_true",
        help="compare even if the metrics were computed in different ways or against different references",
    )
    parser.add_argument("--verbose", action="store_true", help="tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Compare."""
    from impulse_nnunet.evaluation.comparison.compare import compare
    from impulse_nnunet.evaluation.comparison.methods import read_methods
    from impulse_nnunet.evaluation.comparison.tables import markdown, write_comparison
    from impulse_nnunet.evaluation.statistics import Resampling

    resampling = Resampling(
        level=options.level, bootstrap=options.bootstrap, permutations=options.permutations, seed=options.seed
    )
    comparison = compare(
        read_methods(options.methods), options.reference, options.metrics, resampling, options.allow_different_settings
    )
    if options.o:
        write_comparison(comparison, Path(options.o))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without arrows shows ?
    print(markdown(comparison), end="")
    return 0

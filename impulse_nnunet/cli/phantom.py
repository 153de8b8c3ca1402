"""``impulse_nnunet phantom``."""

from __future__ import annotations

import argparse
import os
from typing import Any

from impulse_nnunet.cli.flags import check_counts

DESCRIPTION = """Make a synthetic chest CT cohort with known truth: CT in HU, lobes, the 18 segments, bronchi, arteries,
veins, intersegmental veins and the segment that each branch serves. Writes two nnU-Net raw data sets (segments, and
bronchus, artery and vein), Lung3D's folders and flat folders of trees. The same seed gives the same cases; cases that
are whole are kept."""
EXAMPLES = """examples:
  impulse_nnunet phantom -d 801 -n 40 --test 10
  impulse_nnunet phantom -d 801 -n 2 --size 300 512 512 --spacing 1 0.7 0.7
  impulse_nnunet phantom -d 803 --bav_id 804 -n 20 --slice_spacing 0.6 5 --anomalies 0.2 --disconnected 0.2 -np 2
  impulse_nnunet phantom -d 801 -n 40 --test 10 --check
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add = parser.add_argument
    add("-d", type=int, required=True, metavar="ID", help="data set of the segment stage")
    add("-n", type=int, required=True, metavar="N", help="training cases")
    add("--test", type=int, default=0, metavar="N", help="further cases in imagesTs and labelsTs (default: 0)")
    add(
        "--bav_id", type=int, default=None, metavar="ID", help="data set of bronchus, artery, vein (default: -d plus 1)"
    )
    add("--name", default="PhantomSegments", metavar="NAME", help="default: PhantomSegments")
    add("--bav_name", default="PhantomBAV", metavar="NAME", help="default: PhantomBAV")
    add(
        "--size",
        nargs=3,
        type=int,
        default=(128, 160, 160),
        metavar=("Z", "Y", "X"),
        help="voxels (default: 128 160 160)",
    )
    add("--spacing", nargs=3, type=float, metavar=("Z", "Y", "X"), help="mm (default: fitted to each patient)")
    add("--slice_spacing", nargs=2, type=float, metavar=("LOW", "HIGH"), help="varying slices, mm, 0.6 to 5")
    add("--seed", type=int, default=0, help="default: 0")
    add("--contrast", default="mixed", choices=["none", "contrast", "mixed"], help="default: mixed")
    add("--noise", nargs=2, type=float, default=(10.0, 35.0), metavar=("LOW", "HIGH"), help="HU (default: 10 35)")
    add("--anomalies", type=float, default=0.0, metavar="SHARE", help="share of cases with a missing or fused segment")
    add(
        "--disconnected",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of cases whose airway and vessel masks have gaps",
    )
    add("-np", type=int, default=1, metavar="N", help="processes (default: 1)")
    add("--overwrite", action="store_true", help="start over in folders of an earlier cohort")
    add("--check", action="store_true", help="measure the cohort's files, print and store its properties")
    add("--disable_progress_bar", action="store_true", help="no progress bar")
    add("--verbose", action="store_true", help="tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Make a cohort; with --check, measure it: exit code 1 if a property is missed."""
    from impulse_nnunet.phantom.cohort import make_cohort
    from impulse_nnunet.phantom.layout import find_layout
    from impulse_nnunet.phantom.settings import PhantomSettings

    check_counts(options, "np")
    settings = PhantomSettings(
        size=tuple(options.size),
        spacing_mm=tuple(options.spacing) if options.spacing else None,
        seed=options.seed,
        contrast=options.contrast,
        slice_spacing_mm=tuple(options.slice_spacing) if options.slice_spacing else None,
        anomalies=options.anomalies,
        disconnected=options.disconnected,
        noise_hu=tuple(options.noise),
    )
    bav = options.d + 1 if options.bav_id is None else options.bav_id
    layout = find_layout(os.environ.get("nnUNet_raw"), options.d, bav, options.name, options.bav_name)
    bar = not options.disable_progress_bar
    made = make_cohort(layout, settings, options.n, options.test, options.np, options.overwrite, bar)
    print(f"{len(made)} case(s) made in {layout.segments} and {layout.bav}")
    return _check(layout, bar) if options.check else 0


def _check(layout: Any, bar: bool) -> int:
    from impulse_nnunet.phantom.check import PROPERTIES_FILE, check_cohort

    findings = check_cohort(layout, bar)
    width = max(len(finding.name) for finding in findings)
    print(f"{'property':<{width}}  {'lowest':>9}  {'mean':>9}  {'highest':>9}")
    for finding in findings:
        verdict = {None: "", True: f"ok ({finding.asked})", False: f"MISSED ({finding.asked})"}[finding.met]
        numbers = "  ".join(f"{value:9.4f}" for value in (finding.lowest, finding.mean, finding.highest))
        print(f"{finding.name:<{width}}  {numbers}  {verdict}".rstrip())
    print(f"stored in {layout.segments / PROPERTIES_FILE}")
    return int(any(finding.met is False for finding in findings))

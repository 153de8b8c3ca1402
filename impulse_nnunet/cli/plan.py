"""``impulse_nnunet plan``: the numbers of a lesion and the resections that take it out."""

from __future__ import annotations

import argparse
from pathlib import Path

from impulse_nnunet.cli.reading_flags import add_reading_flags
from impulse_nnunet.cli.segment_flags import add_segment_flags
from impulse_nnunet.cli.tree_flags import add_tree_flags, do_cases, items_of
from impulse_nnunet.errors import InputError

DESCRIPTION = """Plan a segmentectomy: volumes, the lesion's distances to intersegmental planes, pleura, bronchi and
vessels, and all connected unions of segments of its lobe with their margin, volume, cut list and the intersegmental
veins that must stay, best first (margin met, least lung lost, fewest cuts). A margin is sufficient when it is at least
the lesion's largest diameter, and at least --margin if that is given. Writes plan.json and plan.csv; lengths in mm,
positions LPS. Definitions: docs/surgery.md. Research use, not a medical device."""
EXAMPLES = """examples:
  impulse_nnunet plan lung_007.nii.gz --lesion nodule.nii.gz --airway airway.nii.gz --artery artery.nii.gz \\
      --vein vein.nii.gz -o lung_007
  impulse_nnunet plan lung_007.nii.gz --lesion nodule.nii.gz --resect "right S2" "right S3" -o lung_007
  impulse_nnunet plan PREDICTIONS --lesion NODULES --airway TREES/airway --margin 20 -o PLANS
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_reading_flags(parser)
    add_segment_flags(parser)
    add_tree_flags(parser)
    parser.add_argument(
        "--lesion",
        required=True,
        metavar="FILE|FOLDER",
        help="mask of one lesion on the segments' grid; of a folder CASE.*",
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--resect", nargs="+", metavar="LABEL", help="this union only, by numbers or names")
    choice.add_argument("--margin", type=float, metavar="MM", help="margin that is asked for besides the diameter")
    parser.add_argument(
        "--complete_fissures",
        action="store_true",
        help="borders between lobes are no cut planes (default: they are, since many fissures are incomplete)",
    )


def run(options: argparse.Namespace) -> int:
    """Plan."""
    from impulse_nnunet.cli.segment_flags import chosen_cases
    from impulse_nnunet.surgery.folder import plan_case
    from impulse_nnunet.surgery.plan import PlanSettings

    if options.margin is not None and not 0 <= options.margin < 1000:
        raise InputError("--margin", f"{options.margin:g}", "0 to 1000 mm", "correct it")
    names = chosen_cases(options)[1]
    settings = PlanSettings(
        resect=names.chosen(options.resect) if options.resect else (),
        margin_mm=options.margin,
        complete_fissures=options.complete_fissures,
    )
    items, failures = items_of(options, Path(options.lesion), settings)
    return do_cases(options, items, failures, plan_case)

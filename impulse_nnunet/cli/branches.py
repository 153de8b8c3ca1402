"""``impulse_nnunet branches``: centre lines of trees as branches with their segments."""

from __future__ import annotations

import argparse

from impulse_nnunet.cli.reading_flags import add_reading_flags
from impulse_nnunet.cli.segment_flags import add_segment_flags
from impulse_nnunet.cli.tree_flags import TREE_HELP, add_tree_flags, do_cases, items_of
from impulse_nnunet.errors import InputError

DESCRIPTION = """Find the branches of bronchi, arteries and veins among anyone's segments: centre lines with length,
diameter, generation and the segment that each serves, gaps of the masks bridged where it is plausible, veins between
segments told apart, and variants of the anatomy named. Writes branches.json, branches.csv and branches.vtp; positions
are LPS in mm. Definitions: docs/surgery.md. Research use, not a medical device."""
EXAMPLES = """examples:
  impulse_nnunet branches lung_007.nii.gz --airway airway.nii.gz --artery artery.nii.gz --vein vein.nii.gz -o lung_007
  impulse_nnunet branches PREDICTIONS --airway TREES/airway --artery TREES/artery --vein TREES/vein -o BRANCHES
  impulse_nnunet branches liver_02.nii.gz --vein portal.nii.gz --names dataset.json -o liver_02
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_reading_flags(parser)
    add_segment_flags(parser)
    add_tree_flags(parser)
    parser.add_argument(
        "--subsegments",
        action="store_true",
        help="also write a label map of the subsegments by the airway's branches of the second order, and their names",
    )


def run(options: argparse.Namespace) -> int:
    """Find branches."""
    from impulse_nnunet.surgery.folder import find_branches

    if not any(getattr(options, name) for name in TREE_HELP):
        flags = ", ".join(f"--{name}" for name in TREE_HELP)
        raise InputError("branches", "no tree", f"at least one of {flags}", "give one")
    if options.subsegments and not options.airway:
        raise InputError("--subsegments", "no airway", "the bronchi that divide the segments", "give --airway")
    items, failures = items_of(options)
    return do_cases(options, items, failures, find_branches)

"""The flags of commands that read label maps of any origin, the same in each."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from impulse_nnunet.cli.shard_flags import add_shard_flags, shard_from
from impulse_nnunet.errors import InputError

if TYPE_CHECKING:
    from impulse_nnunet.outputs.names import LabelNames


def add_segment_flags(parser: argparse.ArgumentParser) -> None:
    """Declare the label maps, their names, and how the cases are shared."""
    parser.add_argument("segments", metavar="SEGMENTS", help="a label map, or a folder of them")
    parser.add_argument(
        "--names",
        metavar="FILE",
        help='names of the labels: a dataset.json, JSON {"1": "right S1", ...}, or lines "1,right S1" (default: '
        "dataset.json beside the label maps or in the folder above; without one, numbers)",
    )
    parser.add_argument("--labels", nargs="+", metavar="LABEL", help="these only, by number or name (default: all)")
    parser.add_argument("-np", type=int, metavar="N", help="processes (default: nnUNet_def_n_proc, or the cores)")
    add_shard_flags(parser)
    parser.add_argument("--disable_progress_bar", action="store_true", help="no progress bar")
    parser.add_argument("--verbose", action="store_true", help="tracebacks of errors")


def add_trees_flag(parser: argparse.ArgumentParser) -> None:
    """Declare ``--trees``."""
    parser.add_argument(
        "--trees",
        metavar="FOLDER",
        help="masks of airways and vessels: airway/CASE.*, artery/CASE.*, vein/CASE.*, or airway.*, artery.*, vein.* "
        "of one case",
    )


def chosen_cases(options: argparse.Namespace) -> tuple[dict[str, Path], LabelNames]:
    """The label maps of this call, by case, and the names of their labels."""
    from impulse_nnunet.outputs.cases import find_cases
    from impulse_nnunet.outputs.names import find_names

    if options.np is not None and options.np < 1:
        raise InputError("-np", str(options.np), "1 or more", "give a larger number")
    segments, shard = Path(options.segments), shard_from(options)
    cases = find_cases(segments)
    names = find_names(segments, Path(options.names) if options.names else None)
    return {case: cases[case] for case in (sorted(cases) if shard is None else shard.of(sorted(cases)))}, names

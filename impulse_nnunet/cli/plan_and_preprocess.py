"""``impulse_nnunet plan_and_preprocess``: nnU-Net's flags, our planner and preprocessor."""

from __future__ import annotations

import argparse
import json
from typing import Any

from impulse_nnunet.cli.flags import check_counts
from impulse_nnunet.cli.reading_flags import add_reading_flags
from impulse_nnunet.errors import InputError
from impulse_nnunet.settings import CONFIGURATION, PLANS

DESCRIPTION = """Check every case of a data set, extract nnU-Net's fingerprint, plan the configuration 3d_impulse and
preprocess. The plans land in nnUNet_preprocessed/DATASET/ImPulSePlans.json, where every setting can be edited."""
EXAMPLES = """examples:
  impulse_nnunet plan_and_preprocess -d 704
  impulse_nnunet plan_and_preprocess -d 704 --preset paper -overwrite_plans_name ImPulSePaperPlans
  impulse_nnunet plan_and_preprocess -d 704 -gpu_memory_target 4 -np 2 --set impulse.training.epochs=20
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; those with one dash are nnU-Net's own."""
    add_reading_flags(parser)
    parser.add_argument("-d", nargs="+", type=int, required=True, metavar="ID", help="dataset IDs, e.g. 2 4 5")
    parser.add_argument(
        "-npfp",
        type=int,
        default=8,
        help="cases at a time in planning; fewer if memory is short (default: 8)",
    )
    parser.add_argument(
        "-np",
        type=int,
        nargs="+",
        default=[4],
        help="cases at a time in preprocessing; likewise (default: 4)",
    )
    parser.add_argument(
        "-gpu_memory_target",
        type=float,
        default=8.0,
        metavar="GB",
        help="GPU memory that training may take; grid and widths follow from it (default: 8)",
    )
    parser.add_argument("-overwrite_plans_name", default=PLANS, metavar="NAME", help=f"default: {PLANS}")
    parser.add_argument(
        "-fpe",
        default="DatasetFingerprintExtractor",
        metavar="CLASS",
        help="DatasetFingerprintExtractor (default): nnU-Net's numbers, our reader; or yours as module.Class",
    )
    parser.add_argument(
        "-pl",
        default="ImPulSePlanner",
        metavar="CLASS",
        help="planner: ImPulSePlanner, or a subclass of yours as module.Class (default: ImPulSePlanner)",
    )
    parser.add_argument("-preprocessor_name", default=None, metavar="NAME", help=argparse.SUPPRESS)  # refused
    parser.add_argument("-overwrite_target_spacing", default=None, nargs="+", metavar="MM", help=argparse.SUPPRESS)
    parser.add_argument(
        "-c",
        nargs="+",
        default=[CONFIGURATION],
        metavar="CONFIGURATION",
        help=f"configurations of the plans to preprocess (default: {CONFIGURATION})",
    )
    parser.add_argument(
        "--preset",
        default="auto",
        choices=["auto", "paper"],
        help="auto: by the rules of docs/planning.md; paper: 128^3, ResNet-18, batch 4, 4096 points, template 128^3",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting of the plans, e.g. impulse.training.epochs=20 or batch_size=2; may be repeated",
    )
    parser.add_argument(
        "--verify_dataset_integrity",
        action="store_true",
        help="check every case first; always on here (nnU-Net's flag)",
    )
    parser.add_argument("--no_pp", action="store_true", help="plan only, do not preprocess")
    parser.add_argument("--clean", action="store_true", help="extract the fingerprint again")
    parser.add_argument("--no_pbar", action="store_true", help="no progress bars")
    parser.add_argument("--verbose", action="store_true", help="more output; tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Plan and preprocess each data set."""
    from impulse_nnunet.nnunet.planning import plan_dataset, preprocess_dataset

    _refuse_without_meaning(options)
    check_counts(options, "npfp", "np")
    overrides = dict(_override(text) for text in options.set)
    for dataset in options.d:
        plan_dataset(
            dataset,
            options.gpu_memory_target,
            options.overwrite_plans_name,
            options.preset,
            overrides,
            workers=options.npfp,
            clean_fingerprint=options.clean,
            progress_bar=not options.no_pbar,
            verbose=options.verbose,
            planner=options.pl,
            fingerprint_extractor=options.fpe,
        )
        if not options.no_pp:
            workers = options.np * len(options.c) if len(options.np) == 1 else options.np
            if len(workers) != len(options.c):
                raise InputError("-np", f"{len(workers)} numbers", f"1 or {len(options.c)} as -c has", "correct it")
            for configuration, number in zip(options.c, workers, strict=True):
                preprocess_dataset(
                    dataset, options.overwrite_plans_name, configuration, number, not options.no_pbar, options.verbose
                )
    return 0


def _refuse_without_meaning(options: argparse.Namespace) -> None:
    """Refuse nnU-Net's flags that would change nothing here: better than to ignore them."""
    for flag, instead in (
        ("preprocessor_name", "preprocessing follows the plans; leave the flag out"),
        ("overwrite_target_spacing", "images keep their spacing; use -gpu_memory_target or impulse.grid.input_grid"),
    ):
        value = getattr(options, flag)
        if value is not None:
            raise InputError(f"-{flag}", str(value), "no such flag with this planner", instead)


def _override(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise InputError(f"--set {text}", "no '='", "NAME=VALUE", "e.g. --set impulse.training.epochs=20")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value

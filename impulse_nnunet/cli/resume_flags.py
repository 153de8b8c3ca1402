"""The flags of commands that resume case by case, the same in each."""

from __future__ import annotations

import argparse


def add_resume_flags(parser: argparse.ArgumentParser) -> None:
    """Declare ``--overwrite`` and nnU-Net's ``--continue_prediction``."""
    flags = parser.add_mutually_exclusive_group()
    flags.add_argument("--overwrite", action="store_true", help="start over: predict all cases again")
    flags.add_argument(
        "--continue_prediction",
        "--c",
        action="store_true",
        help="keep cases that an earlier call made from the same image with the same model and options (the default; "
        "nnU-Net's flag)",
    )

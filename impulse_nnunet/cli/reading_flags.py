"""The flag of commands that read a user's images, the same in each."""

from __future__ import annotations

import argparse

HELP = """take images that say nothing of their orientation (NIfTI with both form codes 0: as LAS; NRRD and
MetaImage without axes: as LPS); it is noted in the plans and in what is written"""


def add_reading_flags(parser: argparse.ArgumentParser) -> None:
    """Declare ``--assume-orientation``; ``cli.main`` acts on it for the whole command."""
    parser.add_argument("--assume-orientation", action="store_true", help=HELP)

"""The flag of commands that take a folder of images or of DICOM, the same in each."""

from __future__ import annotations

import argparse

HELP = """DICOM series to take, by UID or name; default: the largest of each study (all are shown by
impulse_nnunet convert_dicom -i FOLDER --list)"""


def add_dicom_flags(parser: argparse.ArgumentParser) -> None:
    """Declare ``--series``."""
    parser.add_argument("--series", nargs="+", default=[], metavar="UID", help=HELP)

"""``impulse_nnunet env``."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from impulse_nnunet.runtime.environment import FOLDERS, needed_variables

DESCRIPTION = """Print export lines for the shell: nnUNet_extTrainer, so that nnU-Net's commands find the trainer, and
nnU-Net's folders where they are unset (under --base)."""
EXAMPLES = """examples:
  eval "$(impulse_nnunet env)"
  eval "$(impulse_nnunet env --base /data/nnunet)"
  impulse_nnunet env >> ~/.bashrc
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--base",
        type=Path,
        default=Path.cwd(),
        metavar="FOLDER",
        help="where unset nnU-Net folders shall lie (default: the current folder)",
    )


def run(options: argparse.Namespace) -> int:
    """Print the lines; folders that are newly named are made."""
    for name, value in needed_variables(os.environ, options.base.resolve()).items():
        if name in FOLDERS:
            Path(value).mkdir(parents=True, exist_ok=True)
        print(f"export {name}={shlex.quote(value)}")
    return 0

"""``impulse_nnunet install_model``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from impulse_nnunet.errors import USER_ERROR

DESCRIPTION = """Install a model's zip file (of nnUNetv2_export_model_to_zip) into nnUNet_results, as
nnUNetv2_install_pretrained_model_from_zip does, but checked: nothing lands outside its folder, no code in it is run, a
model that is there is never overwritten, and a file that fails a check installs nothing."""
EXAMPLES = """examples:
  impulse_nnunet install_model MODEL.zip
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("zip", metavar="ZIP", help="an exported model")
    parser.add_argument("-chk", default="checkpoint_final.pth", metavar="NAME", help="default: checkpoint_final.pth")
    parser.add_argument("--verbose", action="store_true", help="tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Print the table and where the model is now."""
    from impulse_nnunet.nnunet.check_model import as_table
    from impulse_nnunet.nnunet.install_model import install_model
    from impulse_nnunet.nnunet.planning import require_folders

    require_folders(["nnUNet_results"])
    rows, installed = install_model(Path(options.zip), Path(os.environ["nnUNet_results"]), options.chk)
    print(as_table(rows))
    if not installed:
        print("\nnothing was installed")
        return USER_ERROR
    print("\ninstalled:", *installed, sep="\n  ")
    return 0

"""``impulse_nnunet check_model``."""

from __future__ import annotations

import argparse
from pathlib import Path

from impulse_nnunet.errors import USER_ERROR

DESCRIPTION = """Say whether a trained model is safe and complete, before any other program opens it: the names in its
checkpoints and plans, paths and sizes in a zip file, and whether the weights fit. No code in it is run. Serves models
of nnU-Net's own trainers too. The exit code is 2 if it is not."""
EXAMPLES = """examples:
  impulse_nnunet check_model MODEL_FOLDER
  impulse_nnunet check_model MODEL.zip -f 0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("model", metavar="FOLDER|ZIP", help="TRAINER__PLANS__CONFIGURATION, or an exported zip file")
    parser.add_argument("-f", nargs="+", default=None, metavar="FOLD", help="folds to look at (default: all)")
    parser.add_argument("-chk", default="checkpoint_final.pth", metavar="NAME", help="default: checkpoint_final.pth")
    parser.add_argument("--verbose", action="store_true", help="tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Print the table and a last line that says what to do."""
    from impulse_nnunet.nnunet.check_model import as_table, check_archive_and_models, check_model

    model = Path(options.model)
    archive = model.suffix.lower() == ".zip" or model.is_file()
    rows = (check_archive_and_models if archive else check_model)(model, options.chk, options.f)
    print(as_table(rows))
    bad = sum(not row.ok for row in rows)
    if bad:
        print(
            f"\nnot safe, or not complete: {bad} of {len(rows)} checks failed; do not open {model} with other programs"
        )
        return USER_ERROR
    way = f"impulse_nnunet install_model {model}" if archive else f"impulse_nnunet predict -m {model} ..."
    print(f"\nsafe and complete; next: {way}")
    return 0

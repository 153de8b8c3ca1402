"""``impulse_nnunet``: one command with subcommands; each subcommand's module is imported only when it runs."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence

from impulse_nnunet import __version__
from impulse_nnunet.cli.flags import FlagNames, check_flags, flags_of
from impulse_nnunet.errors import (
    INTERRUPTED,
    INTERRUPTED_LINE,
    TRACEBACK_VARIABLE,
    USER_ERROR,
    CasesFailedError,
    InputError,
    settings_named,
    with_users_names,
)
from impulse_nnunet.io.assumption import assuming_orientation
from impulse_nnunet.runtime.memory_limit import short_of_memory
from impulse_nnunet.runtime.signals import StopRequestedError

COMMANDS = {
    "env": "print the export lines that nnU-Net's commands need",
    "plan_and_preprocess": "check a data set, plan 3d_impulse and preprocess it",
    "predict": "predict images with a trained model, on their own or any other grid",
    "evaluate": "score predictions: Dice, surface Dice, intrusions of bronchi and vessels",
    "merge": "join the shards of an evaluation, and say what is missing",
    "submit": "share predict or evaluate among the jobs of a Slurm array or this machine's processes",
    "branches": "name the branches of bronchi and vessels by segment, with lengths and diameters",
    "plan": "plan a segmentectomy: margins, volumes and cut lists of unions of segments (research use)",
    "compare": "put methods side by side, with intervals and paired tests",
    "table": "train, score and tabulate the paper's systems and their parts on your data",
    "figure": "draw the paper's figures from a table's runs",
    "view": "write a page of a case: segments in 3D and in slices, in one file without a network",
    "report": "write one HTML file with tables, box plots, slices and three-dimensional views",
    "export": "write label maps as surfaces (STL, OBJ, GLB, 3MF, VTP) and for 3D Slicer",
    "measure": "write a table of volumes, surface areas and HU of labels, lobes and lungs",
    "phantom": "make a synthetic chest CT cohort with known lobes, segments, bronchi and vessels",
    "build_inputs": "join CT, lobes, bronchi, arteries and veins into a data set of the segment stage",
    "pipeline": "everything: both stages from raw CTs and segments to evaluated segments, resumable",
    "reconstruct": "CT in, segments out: bronchi, arteries, veins and lobes first, then the segments",
    "convert_dicom": "write DICOM series as images that nnU-Net reads, or list them",
    "convert_lung3d": "make a data set of the segment stage from Lung3D's folders or .npz files",
    "describe": "print the parts of a network, their parameters and the memory of a training step",
    "check_model": "say whether a model, folder or zip file, is safe and complete",
    "install_model": "install a model's zip file, checked, into nnUNet_results",
    "doctor": "show versions, device and folders, and whether nnU-Net finds the trainer",
}

EXAMPLES = """typical use:
  eval "$(impulse_nnunet env)"
  impulse_nnunet plan_and_preprocess -d 704
  nnUNetv2_train 704 3d_impulse 0 -tr nnUNetTrainerImPulSe -p ImPulSePlans
  impulse_nnunet predict -d 704 -f 0 -i IMAGES -o LABELS
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for what a user can fix, 130 for Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        parser = _parser(arguments)
        check_flags(parser, arguments)
        options = parser.parse_args(arguments)
    except InputError as error:
        return _report(error)
    options.command_line = arguments
    if not hasattr(options, "run"):
        parser.print_help()
        return USER_ERROR
    _log_to_stderr()
    with settings_named(FlagNames(flags_of(parser, arguments), COMMANDS)):
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    try:
        with assuming_orientation(getattr(options, "assume_orientation", False)):
            return int(options.run(options) or 0)
    except (InputError, CasesFailedError, NotImplementedError) as error:
        return _report(error, options)
    except (OSError, ImportError, RuntimeError, SystemError, MemoryError) as error:
        explained = short_of_memory(error)
        if explained is None and not isinstance(error, OSError):
            raise
        return _report(explained or error, options)
    except KeyboardInterrupt:
        print(f"impulse_nnunet: {INTERRUPTED_LINE}", file=sys.stderr)
        return INTERRUPTED
    except StopRequestedError as stop:
        print(f"impulse_nnunet: ended by {stop}; the same call goes on", file=sys.stderr)
        return int(stop.code or USER_ERROR)


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "impulse_nnunet",
        description="Template-guided implicit segment reconstruction (ImPulSe+) inside nnU-Net v2.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"impulse_nnunet {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    chosen = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == chosen:
            module = importlib.import_module(f"impulse_nnunet.cli.{name}")
            sub.description, sub.epilog = module.DESCRIPTION, module.EXAMPLES
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


class _LineFormatter(logging.Formatter):
    """Log lines with flags for settings."""

    def format(self, record: logging.LogRecord) -> str:
        return with_users_names(super().format(record))


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter("%(levelname)s: %(message)s"))
    ours = logging.getLogger("impulse_nnunet")
    ours.handlers[:] = [handler]
    ours.setLevel(logging.INFO)


def _report(error: Exception, options: argparse.Namespace | None = None) -> int:
    if getattr(options, "verbose", False) or os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exc()
    print(f"impulse_nnunet: {with_users_names(str(error))}", file=sys.stderr)
    return USER_ERROR


if __name__ == "__main__":
    sys.exit(main())

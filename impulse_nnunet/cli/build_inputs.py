"""``impulse_nnunet build_inputs``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from impulse_nnunet.cli.device import add_device_flag, checked_device
from impulse_nnunet.cli.flags import check_counts
from impulse_nnunet.cli.reading_flags import add_reading_flags

DESCRIPTION = """Build the data set of the segment stage: one kind of input out of CT, lobes and BAV (bronchi, arteries,
veins). i: CT. ibav: CT and three masks. l: five lobes. lbav: five lobes and three masks, no image. Masks of training
cases that a model makes come from the fold that did not train on the case; a model that saw a case is refused."""
EXAMPLES = """examples:
  impulse_nnunet build_inputs -d 803 --ct 801 --inputs ibav --bav ground_truth
  impulse_nnunet build_inputs -d 804 --ct 801 --inputs ibav --bav MODEL_FOLDER -device cpu
  impulse_nnunet build_inputs -d 805 --ct 801 --inputs lbav --bav FOLDER --bav_labels bronchus=1,2 artery=3 vein=4 \\
      --lobes FOLDER --lobe_labels totalsegmentator
  impulse_nnunet build_inputs -d 806 --ct 801 --inputs l --lobes ground_truth
  impulse_nnunet build_inputs -d 807 --ct 801 --inputs i --labels lobes --name Lobes
a MODEL_FOLDER is nnUNet_results/DATASET/TRAINER__PLANS__CONFIGURATION; a FOLDER holds CASE.nii.gz, or labelsTr and
labelsTs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; those with one dash are nnU-Net's own."""
    add_reading_flags(parser)
    add = parser.add_argument
    add("-d", type=int, required=True, metavar="ID", help="data set to write")
    add("--name", metavar="NAME", help="of it (default: that of --ct and the kind, e.g. PhantomSegments_IBAV)")
    add("--ct", required=True, metavar="DATASET", help="CT data set with the segments: ID, name or raw folder")
    add("--inputs", required=True, choices=["i", "ibav", "l", "lbav"], help="kind of input")
    sources = "ground_truth, MODEL_FOLDER or FOLDER"
    add(
        "--bav",
        metavar="SOURCE",
        help=f"{sources}; for i and l only used to draw training points (default: "
        "ground_truth if the CT data set has airway and vessel masks)",
    )
    add(
        "--bav_labels",
        nargs="+",
        default=[],
        metavar="NAME=VALUES",
        help="values of bronchus, artery, vein and none, "
        "or totalsegmentator (its lung_vessels; default: by the dataset.json beside the files)",
    )
    add("--bav_folds", nargs="+", metavar="FOLD", help="folds of the model (default: all, which must be trained)")
    add("--lobes", metavar="SOURCE", help=f"{sources}; ground_truth joins the segments")
    add(
        "--lobe_labels",
        nargs="+",
        default=[],
        metavar="NAME=VALUES",
        help="values of RUL, RML, RLL, LUL, LLL and "
        "none, or totalsegmentator (its total; default: by the dataset.json beside the files)",
    )
    add("--lobe_folds", nargs="+", metavar="FOLD", help="folds of the model (default: all, which must be trained)")
    add(
        "--labels",
        default="segments",
        choices=["segments", "lobes", "bav"],
        help="what the label maps show: the "
        "segments, or for a model of the first stage lobes (joined from the segments) or bav (joined from "
        "the airway and vessel masks)",
    )
    add("-chk", default="checkpoint_final.pth", metavar="NAME", help="of the models (default: checkpoint_final.pth)")
    add_device_flag(parser, purpose="for predictions")
    add("--disable_tta", action="store_true", help="predict without mirroring: faster, a little worse")
    add("-np", type=int, default=2, metavar="N", help="cases at a time (default: 2)")
    add("--overwrite", action="store_true", help="start over in the folder of an earlier call")
    add("--disable_progress_bar", action="store_true", help="no progress bar")
    add("--verbose", action="store_true", help="tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Build the data set."""
    from impulse_nnunet.io.raw_folders import new_raw_folder
    from impulse_nnunet.lungs.build import BuildOptions, build_inputs
    from impulse_nnunet.lungs.prediction import PredictionOptions
    from impulse_nnunet.lungs.raw_dataset import read_lung_dataset
    from impulse_nnunet.lungs.sources import SourceOptions
    from impulse_nnunet.nnunet.planning import require_folders

    require_folders(["nnUNet_raw", "nnUNet_preprocessed"])
    check_counts(options, "np")
    parts: dict[str, SourceOptions | None] = {}
    for part, labels, folds in (
        ("bav", options.bav_labels, options.bav_folds),
        ("lobes", options.lobe_labels, options.lobe_folds),
    ):
        source = getattr(options, part)
        folds = None if folds is None else tuple(folds)
        parts[part] = None
        if source:
            parts[part] = SourceOptions(
                part=part, source=source, labels=tuple(labels), folds=folds, checkpoint=options.chk
            )
    build = BuildOptions(
        kind=options.inputs,
        ct=options.ct,
        bav=parts["bav"],
        lobes=parts["lobes"],
        labels=options.labels,
        prediction=PredictionOptions(checked_device(options.device), options.disable_tta, options.np),
        processes=options.np,
        overwrite=options.overwrite,
        progress=not options.disable_progress_bar,
    )
    title = options.name
    if title is None:
        title = f"{_title(read_lung_dataset(options.ct).folder)}_{options.inputs.upper()}"
    folder = new_raw_folder(os.environ.get("nnUNet_raw"), options.d, title)
    cases = build_inputs(folder, build)
    print(f"{len(cases)} case(s) in {folder}")
    return 0


def _title(folder: Path) -> str:
    """A data set's name without its number."""
    return folder.name.partition("_")[2] or folder.name

"""``impulse_nnunet convert_lung3d``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from impulse_nnunet.cli.flags import check_counts
from impulse_nnunet.cli.reading_flags import add_reading_flags

DESCRIPTION = """Make a data set of the segment stage from Lung3D: a folder a case with airway, artery, vein, lobe and
lungsegment .nii.gz files, or a .npz file a case with arrays of these names. Every case is checked: grids, labels 0 to
18, empty trees, lobes against segments. lung3d.csv (pid,subset) becomes fold 0 (train, val) and the test folder."""
EXAMPLES = """examples:
  impulse_nnunet convert_lung3d LUNG3D_FOLDER -d 810 -np 8
  impulse_nnunet convert_lung3d NPZ_FOLDER -d 811 --spacing 1 0.7 0.7 --split lung3d.csv
  impulse_nnunet convert_lung3d LUNG3D_FOLDER -d 812 --inputs l --lobe_labels RUL=1 RML=2 RLL=3 LUL=4 LLL=5
then:
  impulse_nnunet plan_and_preprocess -d 810 --preset paper
  nnUNetv2_train 810 3d_impulse 0 -tr nnUNetTrainerImPulSe -p ImPulSePlans
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_reading_flags(parser)
    add = parser.add_argument
    add("folder", metavar="LUNG3D_FOLDER", help="holds a folder or a .npz file for each case, and lung3d.csv")
    add("-d", type=int, required=True, metavar="ID", help="data set to write")
    add("--inputs", default="lbav", choices=["l", "lbav"], help="kind of input; Lung3D has no CT (default: lbav)")
    add("--split", metavar="FILE", help="pid,subset of every case (default: lung3d.csv in the folder or beside it)")
    add("--name", metavar="NAME", help="of the data set (default: Lung3D_LBAV or Lung3D_L)")
    add("--spacing", nargs=3, type=float, metavar=("Z", "Y", "X"), help="voxel size of .npz arrays, mm")
    add(
        "--lobe_labels",
        nargs="+",
        default=[],
        metavar="NAME=VALUES",
        help="values of RUL, RML, RLL, LUL, LLL and none in the lobe maps (default: 1 to 5)",
    )
    add("-np", type=int, default=2, metavar="N", help="cases at a time (default: 2)")
    add("--overwrite", action="store_true", help="start over in the folder of an earlier call")
    add("--disable_progress_bar", action="store_true", help="no progress bar")
    add("--verbose", action="store_true", help="tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Convert."""
    from impulse_nnunet.io.raw_folders import new_raw_folder
    from impulse_nnunet.lungs.convert import ConvertOptions, convert_lung3d
    from impulse_nnunet.nnunet.planning import require_folders

    require_folders(["nnUNet_raw", "nnUNet_preprocessed"])
    check_counts(options, "np")
    convert = ConvertOptions(
        kind=options.inputs,
        split=Path(options.split) if options.split else None,
        spacing_mm=tuple(options.spacing) if options.spacing else None,
        lobe_labels=tuple(options.lobe_labels),
        processes=options.np,
        overwrite=options.overwrite,
        progress=not options.disable_progress_bar,
    )
    title = options.name or f"Lung3D_{options.inputs.upper()}"
    folder = new_raw_folder(os.environ.get("nnUNet_raw"), options.d, title)
    counts = convert_lung3d(Path(options.folder), folder, convert)
    print(f"{', '.join(f'{number} {subset}' for subset, number in counts.items())} case(s) in {folder}")
    return 0

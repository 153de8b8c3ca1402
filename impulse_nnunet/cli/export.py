"""``impulse_nnunet export``: label maps as surfaces and as files for 3D Slicer."""

from __future__ import annotations

import argparse
from pathlib import Path

from impulse_nnunet.cli.reading_flags import add_reading_flags
from impulse_nnunet.cli.segment_flags import add_segment_flags, add_trees_flag, chosen_cases
from impulse_nnunet.errors import CasesFailedError, InputError

DESCRIPTION = """Write any label map as surfaces (STL, OBJ, GLB, 3MF, VTP) and as a segmentation of 3D Slicer
(seg.nrrd) or DICOM (dcmseg), with the names of its dataset.json and one hue a lobe. Neighbouring surfaces share their
border; each is closed. Points are in mm, in LPS (as DICOM has it) unless --space says RAS; the files say which. Not a
medical device."""
EXAMPLES = """examples:
  impulse_nnunet export PREDICTIONS -o meshes --format stl glb
  impulse_nnunet export lung_007.nii.gz -o slicer --format seg.nrrd
  impulse_nnunet export labels.nrrd -o print --format 3mf --labels "right S2" 3 --names names.csv --smooth 0
  impulse_nnunet export SEGMENTS -o seg --format dcmseg --dicom DICOM
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_reading_flags(parser)
    add_segment_flags(parser)
    parser.add_argument("-o", required=True, metavar="FOLDER", help="output; made if it does not exist")
    parser.add_argument(
        "--format",
        nargs="+",
        required=True,
        metavar="FORMAT",
        help="stl (CASE/NAME.stl, one a label), obj, glb, 3mf, vtp (CASE.obj ..., one scene), seg.nrrd (3D Slicer), "
        "dcmseg (CASE.dcm, a DICOM label map segmentation), dcmseg_binary (CASE_binary.dcm, for PACS and viewers that "
        "do not know those yet)",
    )
    parser.add_argument(
        "--smooth",
        type=float,
        metavar="MM",
        help="smooth surfaces and move no point further than this; 0 keeps the border of the voxels (default: half the "
        "diagonal of a voxel)",
    )
    add_trees_flag(parser)
    parser.add_argument("--space", default="LPS", metavar="LPS|RAS", help="axes of the surfaces' points (default: LPS)")
    parser.add_argument(
        "--dicom",
        metavar="FOLDER",
        help="DICOM series that the segments were made from, sub-folders too; for dcmseg",
    )
    parser.add_argument("--overwrite", action="store_true", help="write files again that are up to date")


def run(options: argparse.Namespace) -> int:
    """Export."""
    from impulse_nnunet.jobs.pool import default_processes
    from impulse_nnunet.outputs.export import ExportOptions, export_cases
    from impulse_nnunet.outputs.trees import tree_folder

    cases, names = chosen_cases(options)
    export = ExportOptions(
        output=Path(options.o),
        names=names,
        formats=tuple(dict.fromkeys(options.format)),
        labels=None if options.labels is None else names.chosen(options.labels),
        smooth_mm=options.smooth,
        space=options.space,
        trees=tree_folder(Path(options.trees)) if options.trees else None,
        dicom=None if options.dicom is None else Path(options.dicom),
        start_over=options.overwrite,
    )
    if export.output.exists() and not export.output.is_dir():
        raise InputError("-o", f"a file, {export.output}", "a folder", "choose another name")
    processes = default_processes() if options.np is None else options.np
    done = export_cases(cases, export, processes, not options.disable_progress_bar)
    for case, note in done.notes.items():
        print(f"{case}: {note}")
    number = sum(map(len, done.files.values()))
    print(f"{len(done.files)} case(s), {number} file(s) in {export.output}; {export.space}, mm")
    if done.failures:
        raise CasesFailedError(done.failures, len(cases))
    return 0

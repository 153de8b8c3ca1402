"""``impulse_nnunet convert_dicom``: DICOM series as images with nnU-Net's names."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from impulse_nnunet.cli.dicom_flags import add_dicom_flags
from impulse_nnunet.errors import CasesFailedError, InputError

if TYPE_CHECKING:
    from impulse_nnunet.io.dicom.series import Series

DESCRIPTION = """Write DICOM series as images CASE_0000.nii.gz that nnU-Net's commands read; predict and reconstruct
take DICOM folders themselves. Each study is a case: its largest CT, or the series that --series names. Slices are
sorted by their geometry; what makes no regular grid (missing or duplicate slices, a tilted gantry) is refused by name.
Names of cases and files tell nothing of the patient; --list shows which folder each series lies in."""
EXAMPLES = """examples:
  impulse_nnunet convert_dicom -i DICOM --list
  impulse_nnunet convert_dicom -i DICOM -o IMAGES
  impulse_nnunet convert_dicom -i DICOM -o IMAGES --series ct_3f9a0c2b71de
  impulse_nnunet convert_dicom -i DICOM -o IMAGES --modality MR --ending .nrrd
"""
ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add = parser.add_argument
    add("-i", required=True, metavar="FOLDER", help="DICOM files, in sub-folders too")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("-o", metavar="FOLDER", help="images; made if it does not exist")
    what.add_argument("--list", action="store_true", help="only show the series, and whether they can be read")
    add_dicom_flags(parser)
    add("--modality", default="CT", choices=["CT", "MR"], help="default: CT")
    add("--ending", default=".nii.gz", choices=ENDINGS, help="format of the images (default: .nii.gz)")
    add("--verbose", action="store_true", help="tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Convert."""
    from impulse_nnunet.io.dicom.series import choose, series_in
    from impulse_nnunet.io.input_cases import convert

    folder = Path(options.i)
    found = series_in(folder)
    if options.list:
        _show(found, folder)
        return 0
    cases, failures = choose(folder, found, options.modality, options.series)
    made, bad = convert(cases, Path(options.o), options.ending)
    print(f"{len(made)} case(s) written into {options.o}")
    failures |= bad
    if failures:
        raise CasesFailedError(dict(sorted(failures.items())), len(cases) + len(failures) - len(bad))
    return 0


def _show(found: Sequence[Series], folder: Path) -> None:
    """A line for each series; its folder is shown because the user asks which is which."""
    from impulse_nnunet.io.dicom.geometry import in_order

    for series in found:
        place = series.headers[0].file.parent.relative_to(folder)
        try:
            _, grid = in_order(series)
            x, y, z = grid.size
            state = f"{z} x {y} x {x} voxels of {' x '.join(f'{mm:.3g}' for mm in grid.spacing_mm[::-1])} mm"
        except InputError as error:
            state = f"not usable: {error.found}"
        print(f"{series.name}  {series.modality}  {len(series.headers)} files in {place}  {state}  {series.uid}")

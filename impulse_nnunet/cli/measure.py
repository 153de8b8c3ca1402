"""``impulse_nnunet measure``: a table of volumes, areas and HU."""

from __future__ import annotations

import argparse
from pathlib import Path

from impulse_nnunet.cli.reading_flags import add_reading_flags
from impulse_nnunet.cli.segment_flags import add_segment_flags, add_trees_flag, chosen_cases
from impulse_nnunet.errors import CasesFailedError, InputError

DESCRIPTION = """Measure any label map: a row for each label and, where the names tell, for each lobe and lung, with
voxels, volume, surface area, extent and share of the lobe; with --ct also mean HU and the share below -950 HU
(emphysema), with --trees the volume of each tree inside. The columns case, label, name, voxels, volume_ml, surface_mm2
and mean_hu come first. Definitions: docs/outputs.md. Not a medical device."""
EXAMPLES = """examples:
  impulse_nnunet measure PREDICTIONS -o volumes.csv
  impulse_nnunet measure lung_007.nii.gz --ct lung_007_0000.nii.gz -o lung_007.csv
  impulse_nnunet measure PREDICTIONS --ct imagesTs --trees TREES -np 4 -o volumes.csv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_reading_flags(parser)
    add_segment_flags(parser)
    parser.add_argument("-o", required=True, metavar="FILE", help="the table, e.g. volumes.csv; its folder is made")
    parser.add_argument(
        "--ct", metavar="FILE|FOLDER", help="CT in HU on the segments' grid; of a folder CASE_0000.* or CASE.*"
    )
    add_trees_flag(parser)


def run(options: argparse.Namespace) -> int:
    """Measure."""
    from impulse_nnunet.jobs.pool import default_processes
    from impulse_nnunet.outputs.table import items_of, measure_cases, write_table
    from impulse_nnunet.outputs.trees import tree_folder

    output = Path(options.o)
    if output.suffix.lower() != ".csv":
        raise InputError("-o", str(output), "a file that ends in .csv", "e.g. -o volumes.csv")
    cases, names = chosen_cases(options)
    trees = tree_folder(Path(options.trees)) if options.trees else None
    ct = Path(options.ct) if options.ct else None
    if ct is not None and not ct.exists():
        raise InputError(str(ct), "no such file or folder", "a CT, or a folder of them", "check --ct")
    labels = None if options.labels is None else names.chosen(options.labels)
    items, failures = items_of(cases, names, labels, ct, trees)
    processes = default_processes() if options.np is None else options.np
    measured = measure_cases(items, processes, not options.disable_progress_bar)
    failures = dict(sorted((failures | measured.failures).items()))
    if measured.rows:
        write_table(measured, list(dict.fromkeys(name for item in items for name in item.trees)), output)
        print(f"{len(measured.rows)} case(s), {sum(map(len, measured.rows.values()))} row(s) in {output}")
    if failures:
        raise CasesFailedError(failures, len(cases))
    return 0

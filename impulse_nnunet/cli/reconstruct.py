"""``impulse_nnunet reconstruct``: both stages in one command."""

from __future__ import annotations

import argparse
from pathlib import Path

from impulse_nnunet.cli.device import add_device_flag, chosen_device
from impulse_nnunet.cli.dicom_flags import add_dicom_flags
from impulse_nnunet.cli.flags import check_counts
from impulse_nnunet.cli.output_flags import add_output_flags, output_options
from impulse_nnunet.cli.predict import exit_code, fold_of, print_findings
from impulse_nnunet.cli.reading_flags import add_reading_flags
from impulse_nnunet.cli.resume_flags import add_resume_flags
from impulse_nnunet.cli.shard_flags import add_shard_flags, shard_from
from impulse_nnunet.io.files import check_is_no_file
from impulse_nnunet.jobs.shards import Shard

DESCRIPTION = """CT in, segments out. What the segment model takes (CT, bronchi, arteries and veins, lobes) is read from
its dataset.json; anatomy masks are predicted first by their own models, any that nnU-Net trained. One
bad case does not stop the others. OUTPUT/prediction.json and the exit code are those of impulse_nnunet predict."""
EXAMPLES = """examples:
  impulse_nnunet reconstruct -i CTS -o SEGMENTS --bav_model BAV_MODEL --segment_model MODEL
  impulse_nnunet reconstruct -i CTS -o SEGMENTS --segment_model MODEL_OF_CT_ALONE
  impulse_nnunet reconstruct -i CTS -o SEGMENTS --bav_model A --segment_model C --spacing 0.5 0.5 0.5
  impulse_nnunet reconstruct -i CTS -o SEGMENTS --bav_model A --lobe_model B --segment_model C -device cpu --keep_masks
a MODEL is nnUNet_results/DATASET/TRAINER__PLANS__CONFIGURATION; CTs are named CASE_0000.nii.gz, or
are DICOM series
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; those with one dash are nnU-Net's own."""
    add_reading_flags(parser)
    add = parser.add_argument
    add("-i", required=True, metavar="FOLDER", help="CTs, or DICOM in sub-folders too")
    add("-o", required=True, metavar="FOLDER", help="segments; made if it does not exist")
    add("--segment_model", required=True, metavar="FOLDER", help="model of the segment stage")
    add("--bav_model", metavar="FOLDER", help="model of bronchi, arteries and veins")
    add("--lobe_model", metavar="FOLDER", help="model of the lobes")
    add("-f", nargs="+", metavar="FOLD", help="folds of the segment model (default: all, which must be trained)")
    add("--bav_folds", nargs="+", metavar="FOLD", help="folds of --bav_model (default: all, which must be trained)")
    add("--lobe_folds", nargs="+", metavar="FOLD", help="folds of --lobe_model (default: all, which must be trained)")
    add("-chk", default="checkpoint_final.pth", metavar="NAME", help="of all models (default: checkpoint_final.pth)")
    add_dicom_flags(parser)
    add_device_flag(parser)
    add("--disable_tta", action="store_true", help="predict the masks without mirroring: faster, a little worse")
    add("-npp", type=int, default=2, help="threads and processes that read and write (default: 2)")
    add_shard_flags(parser)
    add("--keep_masks", action="store_true", help="leave the predicted anatomy masks in OUTPUT/masks")
    add_output_flags(parser)
    add_resume_flags(parser)
    add("--disable_progress_bar", action="store_true", help="no progress bars")
    add("--verbose", action="store_true", help="more output; tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Reconstruct."""
    from impulse_nnunet.io.input_cases import not_read_of
    from impulse_nnunet.io.not_read import left_out_line
    from impulse_nnunet.lungs.prediction import PredictionOptions
    from impulse_nnunet.lungs.reconstruct import ReconstructOptions, reconstruct
    from impulse_nnunet.lungs.sources import SourceOptions
    from impulse_nnunet.nnunet.predictor import ImPulSePredictor

    check_counts(options, "npp", least=0)
    check_is_no_file(Path(options.o))
    device = chosen_device(options.device)
    sources = {}
    for part, place, folds in (
        ("bav", options.bav_model, options.bav_folds),
        ("lobes", options.lobe_model, options.lobe_folds),
    ):
        chosen = None if folds is None else tuple(str(fold_of(text)) for text in folds)
        source = SourceOptions(part=part, source=place, folds=chosen, checkpoint=options.chk) if place else None
        sources[part] = source
    predictor = ImPulSePredictor(device, not options.disable_progress_bar, options.verbose)
    shard = shard_from(options) or Shard()
    wanted = ReconstructOptions(
        segment_model=Path(options.segment_model),
        bav=sources["bav"],
        lobes=sources["lobes"],
        folds=None if options.f is None else tuple(fold_of(text) for text in options.f),
        checkpoint=options.chk,
        prediction=PredictionOptions(options.device, options.disable_tta, options.npp),
        keep_masks=options.keep_masks,
        outputs=output_options(options),
        overwrite=options.overwrite,
        shard=shard,
        series=tuple(options.series),
        progress=not options.disable_progress_bar,
    )
    try:
        done = reconstruct(Path(options.i), Path(options.o), predictor, wanted)
    finally:
        print_findings(predictor, Path(options.o))
    print(f"{len(done)} case(s) reconstructed into {options.o}")
    ending = predictor.dataset_json["file_ending"]
    return exit_code(left_out_line(Path(options.i), not_read_of(Path(options.i), ending)), shard)

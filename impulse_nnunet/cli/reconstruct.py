"""``impulse_nnunet reconstruct``: both stages in one command."""

from __future__ import annotations

import argparse
from pathlib import Path

from impulse_nnunet.cli.device import add_device_flag, chosen_device
from impulse_nnunet.cli.flags import check_counts
from impulse_nnunet.cli.output_flags import add_output_flags, output_options
from impulse_nnunet.cli.predict import fold_of
from impulse_nnunet.cli.reading_flags import add_reading_flags
from impulse_nnunet.cli.resume_flags import add_resume_flags
from impulse_nnunet.cli.shard_flags import add_shard_flags, shard_from
from impulse_nnunet.io.files import check_is_no_file
from impulse_nnunet.jobs.shards import Shard

DESCRIPTION = """CT in, segments out. What the segment model takes (CT, bronchi, arteries and veins, lobes) is read from
its dataset.json; shapes are predicted first by their own models, any that nnU-Net trained. One bad case does not stop
the others."""
EXAMPLES = """examples:
  impulse_nnunet reconstruct -i CTS -o SEGMENTS --bav_model BAV_MODEL --segment_model MODEL
  impulse_nnunet reconstruct -i CTS -o SEGMENTS --segment_model MODEL_OF_CT_ALONE
  impulse_nnunet reconstruct -i CTS -o SEGMENTS --bav_model A --segment_model C --spacing 0.5 0.5 0.5
  impulse_nnunet reconstruct -i CTS -o SEGMENTS --bav_model A --lobe_model B --segment_model C -device cpu --keep_shapes
a MODEL is nnUNet_results/DATASET/TRAINER__PLANS__CONFIGURATION; CTs are named CASE_0000.nii.gz
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; those with one dash are nnU-Net's own."""
    add_reading_flags(parser)
    add = parser.add_argument
    add("-i", required=True, metavar="FOLDER", help="CTs")
    add("-o", required=True, metavar="FOLDER", help="segments; made if it does not exist")
    add("--segment_model", required=True, metavar="FOLDER", help="model of the segment stage")
    add("--bav_model", metavar="FOLDER", help="model of bronchi, arteries and veins")
    add("--lobe_model", metavar="FOLDER", help="model of the lobes")
    add("-f", nargs="+", metavar="FOLD", help="folds of the segment model (default: all that are trained)")
    add("--bav_folds", nargs="+", metavar="FOLD", help="folds of --bav_model (default: all that are trained)")
    add("--lobe_folds", nargs="+", metavar="FOLD", help="folds of --lobe_model (default: all that are trained)")
    add("-chk", default="checkpoint_final.pth", metavar="NAME", help="of all models (default: checkpoint_final.pth)")
    add_device_flag(parser)
    add("--disable_tta", action="store_true", help="shapes without mirroring: faster, a little worse")
    add("-npp", type=int, default=2, help="threads and processes that read and write (default: 2)")
    add_shard_flags(parser)
    add("--keep_shapes", action="store_true", help="leave the predicted shapes in OUTPUT/shapes")
    add_output_flags(parser)
    add_resume_flags(parser)
    add("--disable_progress_bar", action="store_true", help="no progress bars")
    add("--verbose", action="store_true", help="more output; tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Reconstruct."""
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
    done = reconstruct(
        Path(options.i),
        Path(options.o),
        predictor,
        ReconstructOptions(
            segment_model=Path(options.segment_model),
            bav=sources["bav"],
            lobes=sources["lobes"],
            folds=None if options.f is None else tuple(fold_of(text) for text in options.f),
            checkpoint=options.chk,
            prediction=PredictionOptions(options.device, options.disable_tta, options.npp),
            keep_shapes=options.keep_shapes,
            outputs=output_options(options),
            overwrite=options.overwrite,
            shard=shard_from(options) or Shard(),
            progress=not options.disable_progress_bar,
        ),
    )
    print(f"{len(done)} case(s) reconstructed into {options.o}")
    return 0

"""``impulse_nnunet pipeline``: from raw CTs and segments to evaluated segments, both stages."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from impulse_nnunet.cli.device import add_device_flag, checked_device
from impulse_nnunet.cli.flags import check_counts
from impulse_nnunet.cli.reading_flags import add_reading_flags
from impulse_nnunet.io.files import check_is_no_file

DESCRIPTION = """Everything from a raw data set of CTs with segments to evaluated segments: a cross-validation of models
that draw bronchi, arteries and veins (BAV) and lobes where the input needs them, the data set of the segment stage with
out-of-fold masks, its plans, its cross-validation, predictions of the test cases, scores and a report. It drives
nnU-Net's commands and ours. Each step leaves a record of what it was made from and is skipped while that still matches;
an interrupted call goes on where it was, and a changed setting redoes what depends on it (the earlier result is kept in
superseded/)."""
EXAMPLES = """examples:
  impulse_nnunet pipeline -d 801 --inputs ibav
  impulse_nnunet pipeline -d 801 --inputs ibav --dry_run
  impulse_nnunet pipeline -d 801 --inputs ibav --folds 0 --set impulse.training.epochs=20 -device cpu
  impulse_nnunet pipeline -d 801 --inputs i
  impulse_nnunet pipeline -d 801 --inputs lbav --bav MODEL_FOLDER --lobes FOLDER --lobe_labels totalsegmentator
  impulse_nnunet pipeline -d 801 --inputs ibav --bav_tr nnUNetTrainer_100epochs --bav_pl nnUNetPlannerResEncL
data sets that it makes get the IDs after -d: 1 BAV, 2 to 5 the inputs i, ibav, l, lbav, 6 lobes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; those with one dash are nnU-Net's own."""
    add_reading_flags(parser)
    add = parser.add_argument
    add("-d", required=True, metavar="DATASET", help="CT data set with the segments: ID, name or raw folder")
    add("--inputs", required=True, choices=["i", "ibav", "l", "lbav"], help="kind of input of the segment stage")
    add("--folds", nargs="+", metavar="FOLD", help="of the segment stage (default: all of the split)")
    add("-o", metavar="FOLDER", help="predictions, scores, report, logs (default: beside the segment model)")
    add("--overwrite", action="store_true", help="start over; what earlier calls made is kept in superseded/")
    add("--dry_run", action="store_true", help="say what would be done and why, and do nothing")
    add("--no_report", action="store_true", help="no report.html")
    add_device_flag(parser)
    add("-np", type=int, default=2, metavar="N", help="processes that read, preprocess and write (default: 2)")
    add("-num_gpus", type=int, default=1, metavar="N", help="for each training (default: 1)")
    add(
        "--disable_tta", action="store_true", help="predict the anatomy masks without mirroring: faster, a little worse"
    )
    add("--verbose", action="store_true", help="tracebacks of errors")
    segments = parser.add_argument_group("segment stage")
    segments.add_argument("--segment_dataset", type=int, metavar="ID", help="data set to make")
    segments.add_argument("--preset", default="auto", choices=["auto", "paper"], help="as plan_and_preprocess")
    segments.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="as plan_and_preprocess")
    segments.add_argument("-gpu_memory_target", type=float, metavar="GB", help="as plan_and_preprocess")
    segments.add_argument("-tr", default="nnUNetTrainerImPulSe", metavar="TRAINER", help="default: %(default)s")
    segments.add_argument("-p", metavar="PLANS", help="name of the plans (default: ImPulSePlans)")
    for part, title, trainer, planner, configuration in (
        ("bav", "bronchi, arteries and veins", "nnUNetTrainer", "ExperimentPlanner", "3d_fullres"),
        (
            "lobe",
            "lobes (left and right differ: no trainer that mirrors)",
            "nnUNetTrainerImPulSe",
            "ImPulSePlanner",
            "3d_impulse",
        ),
    ):
        group = parser.add_argument_group(title)
        flag = "--bav" if part == "bav" else "--lobes"
        group.add_argument(
            flag,
            default="train",
            metavar="SOURCE",
            help="train, or as build_inputs: ground_truth, "
            "MODEL_FOLDER or FOLDER (default: train where the input needs it)",
        )
        group.add_argument(f"--{part}_labels", nargs="+", default=[], metavar="NAME=VALUES", help="as build_inputs")
        if part == "bav":
            group.add_argument(
                "--bav_dataset",
                type=int,
                metavar="ID",
                help="data set with these labels (default: -d plus 1, made of the "
                "airway and vessel masks of -d if it is not there)",
            )
        group.add_argument(f"--{part}_tr", default=trainer, metavar="TRAINER", help="default: %(default)s")
        group.add_argument(f"--{part}_pl", default=planner, metavar="PLANNER", help="default: %(default)s")
        group.add_argument(f"--{part}_c", default=configuration, metavar="CONFIGURATION", help="default: %(default)s")
        group.add_argument(
            f"--{part}_set", action="append", default=[], metavar="NAME=VALUE", help="for ImPulSePlanner"
        )


def run(options: argparse.Namespace) -> int:
    """Run, or say what would be run."""
    from impulse_nnunet.jobs.step_runner import StepRunner
    from impulse_nnunet.lungs.pipeline import PipelineOptions, plan_pipeline
    from impulse_nnunet.lungs.stages import CommonOptions, StageOptions

    check_counts(options, "np", "num_gpus")
    if options.o is not None:
        check_is_no_file(Path(options.o))
    if not options.dry_run:
        checked_device(options.device)
    stages = {
        part: StageOptions(
            part=part if part == "bav" else "lobes",
            trainer=getattr(options, f"{part}_tr"),
            planner=getattr(options, f"{part}_pl"),
            configuration=getattr(options, f"{part}_c"),
            settings=tuple(getattr(options, f"{part}_set")),
        )
        for part in ("bav", "lobe")
    }
    segments = StageOptions(
        part="segments",
        trainer=options.tr,
        plans=options.p,
        settings=tuple(options.set),
        preset=options.preset,
        memory_gb=options.gpu_memory_target,
    )
    common = CommonOptions(
        device=options.device, processes=options.np, gpus=options.num_gpus, disable_tta=options.disable_tta
    )
    pipeline = plan_pipeline(
        PipelineOptions(
            ct=options.d,
            kind=options.inputs,
            bav_stage=stages["bav"],
            lobe_stage=stages["lobe"],
            segment_stage=segments,
            common=common,
            output=Path(options.o) if options.o else None,
            bav=options.bav,
            bav_labels=tuple(options.bav_labels),
            bav_dataset=options.bav_dataset,
            lobes=options.lobes,
            lobe_labels=tuple(options.lobe_labels),
            segment_dataset=options.segment_dataset,
            folds=tuple(options.folds) if options.folds else None,
            report=not options.no_report,
        )
    )
    runner = StepRunner(
        logs=pipeline.output / "logs",
        say=_say,
        show=_show if sys.stderr.isatty() else None,
        overwrite=options.overwrite,
    )
    if options.dry_run:
        runner.explain(pipeline.steps)
        return 0
    runner.run(pipeline.steps)
    print(f"results in {pipeline.output}")
    return 0


def _say(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    print(line, flush=True)


def _show(line: str) -> None:
    """The running command's latest line, on one line of the terminal."""
    sys.stderr.write(f"\r\033[K  {line[:100]}")
    sys.stderr.flush()

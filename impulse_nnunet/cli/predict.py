"""``impulse_nnunet predict``: nnU-Net's flags, and any output grid."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impulse_nnunet import __version__
from impulse_nnunet.cli.device import add_device_flag, chosen_device
from impulse_nnunet.cli.dicom_flags import add_dicom_flags
from impulse_nnunet.cli.flags import check_counts
from impulse_nnunet.cli.output_flags import add_output_flags, output_options
from impulse_nnunet.cli.reading_flags import add_reading_flags
from impulse_nnunet.cli.resume_flags import add_resume_flags
from impulse_nnunet.cli.shard_flags import add_shard_flags, shard_from
from impulse_nnunet.errors import USER_ERROR, InputError
from impulse_nnunet.io.files import check_is_no_file
from impulse_nnunet.jobs.case_records import RECORDS, CaseRecords
from impulse_nnunet.jobs.prediction_file import INPUT, PREDICTION_FILE, PredictionFile
from impulse_nnunet.jobs.shards import Shard
from impulse_nnunet.settings import CONFIGURATION, PLANS

if TYPE_CHECKING:
    from impulse_nnunet.nnunet.input_folder import InputFolder
    from impulse_nnunet.nnunet.output_options import OutputOptions
    from impulse_nnunet.nnunet.predictor import ImPulSePredictor

DESCRIPTION = """Predict the images of a folder (named CASE_0000.nii.gz, ... as nnU-Net asks, or DICOM series). The
labels are those that nnUNetv2_predict writes; files appear only when they are whole, and one bad case does not stop the
others. Cases that an earlier call made with the same model and options from the same image are kept, by records in
OUTPUT/records. OUTPUT/prediction.json says of each case whether it is ok, warned (of what) or failed (why), and how it
was made. Exit code 2 where a case failed or a file that looks like a patient's image was not read; the others are
done."""
SHOWN = 10  # cases of a kind of finding; all of them stand in the file
EXAMPLES = """examples:
  impulse_nnunet predict -d 704 -f 0 -i IMAGES -o LABELS
  impulse_nnunet predict -m MODEL_FOLDER -f 0 1 2 3 4 -i IMAGES -o LABELS
  impulse_nnunet predict -d 704 -f 0 -i IMAGES -o LABELS --spacing 0.5 0.5 0.5
  impulse_nnunet predict -d 704 -f 0 -i IMAGES -o LABELS --mesh glb 3mf --mesh_spacing 0.3
  impulse_nnunet predict -d 704 -f 0 -i IMAGES -o LABELS --shard auto
  impulse_nnunet predict -d 704 -f 0 -i IMAGES -o LABELS --like OTHER_IMAGE.nii.gz --save_displacement
  impulse_nnunet predict -d 704 -f 0 -i DICOM -o LABELS --series ct_3f9a0c2b71de
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; those with one dash, and the first ones with two, are nnU-Net's own."""
    add_reading_flags(parser)
    parser.add_argument("-i", required=True, metavar="FOLDER", help="images, or DICOM in sub-folders too")
    parser.add_argument("-o", required=True, metavar="FOLDER", help="labels; made if it does not exist")
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument(
        "-d", metavar="ID", help="data set of the model, ID or name; the model is found in nnUNet_results"
    )
    model.add_argument("-m", metavar="FOLDER", help="folder of the trained model")
    parser.add_argument("-p", default=PLANS, metavar="PLANS", help=f"default: {PLANS}")
    parser.add_argument("-tr", default="nnUNetTrainerImPulSe", metavar="TRAINER", help="default: nnUNetTrainerImPulSe")
    parser.add_argument("-c", default=CONFIGURATION, metavar="CONFIGURATION", help=f"default: {CONFIGURATION}")
    parser.add_argument(
        "-f", nargs="+", default=None, metavar="FOLD", help="folds to average (default: all, which must be trained)"
    )
    parser.add_argument("-chk", default="checkpoint_final.pth", metavar="NAME", help="default: checkpoint_final.pth")
    add_dicom_flags(parser)
    add_device_flag(parser)
    parser.add_argument("-npp", type=int, default=2, help="threads that read and write (default: 2)")
    add_shard_flags(parser)
    parser.add_argument(
        "--save_probabilities", action="store_true", help="also nnU-Net's .npz; classes x volume in memory"
    )
    add_resume_flags(parser)
    parser.add_argument("--disable_progress_bar", action="store_true", help="no progress bar")
    parser.add_argument("--verbose", action="store_true", help="more output; tracebacks of errors")
    add_output_flags(parser)
    for flag in ("-step_size", "-nps"):
        parser.add_argument(flag, default=None, help=argparse.SUPPRESS)  # nnU-Net's; nothing to set here
    for flag in ("--disable_tta", "--not_on_device"):
        parser.add_argument(flag, action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Predict."""
    from impulse_nnunet.io.input_cases import quickest_ending
    from impulse_nnunet.nnunet.input_folder import look_into
    from impulse_nnunet.nnunet.models import check_model_folder, describe
    from impulse_nnunet.nnunet.predictor import ImPulSePredictor

    check_counts(options, "npp", least=0)
    check_is_no_file(Path(options.o))
    shard = shard_from(options) or Shard()
    device, model = chosen_device(options.device), _model_folder(options)
    check_model_folder(model)
    images = look_into(Path(options.i), describe(model).dataset_json, options.series)
    predictor = ImPulSePredictor(device, not options.disable_progress_bar, options.verbose)
    folds = None if options.f is None else tuple(fold_of(text) for text in options.f)
    predictor.initialize_from_trained_model_folder(str(model), folds, options.chk)
    wanted = output_options(options)
    cases = shard.of(images.inputs.names)
    settings = _settings(predictor.model_files, wanted)
    recorded = note_input(predictor, Path(options.o), images, wanted)
    ending = quickest_ending(predictor.dataset_json["file_ending"])
    try:
        with images.files(cases, Path(options.o), ending, recorded) as files:
            done = _predict_missing(predictor, files, wanted, settings, options)
    finally:
        print_findings(predictor, Path(options.o))
    kept = f", {len(cases) - len(done)} kept" if len(done) < len(cases) else ""
    share = f" (shard {shard})" if shard.count > 1 else ""
    print(f"{len(done)} case(s) predicted into {options.o}{kept}{share}")
    return exit_code(images.left_out_line, shard)


def note_input(predictor: ImPulSePredictor, output: Path, images: InputFolder, wanted: OutputOptions) -> PredictionFile:
    """Note in ``prediction.json`` what is not read; failures of cases that are gone are forgotten."""
    predictor.run[INPUT] = str(images.folder)
    recorded = predictor.prediction_file(output, wanted)
    recorded.leave_out(images.folder, images.left_out)
    recorded.forget_failures(images.inputs.names)
    return recorded


def exit_code(left_out: str, shard: Shard) -> int:
    """0, or 2 if patients were left out, said in one line; of several shards the first one says it."""
    if not left_out or shard.index > 0:
        return 0
    print(f"impulse_nnunet: {left_out}; the reasons stand above and in {PREDICTION_FILE}", file=sys.stderr)
    return USER_ERROR


def print_findings(predictor: ImPulSePredictor, output: Path) -> None:
    """What the run noted, one line for each kind."""
    from impulse_nnunet.laterality.judgement import prediction_summary

    sides = prediction_summary(predictor.side_agreements)
    if sides:
        print(sides)
    for kind, cases in predictor.findings.by_kind().items():
        more = f" and {len(cases) - SHOWN} more" if len(cases) > SHOWN else ""
        print(f"{kind}: {', '.join(cases[:SHOWN])}{more} (see {output / PREDICTION_FILE})")


def _predict_missing(
    predictor: ImPulSePredictor,
    cases: Mapping[str, list[str]],
    wanted: OutputOptions,
    settings: Mapping[str, Any],
    options: argparse.Namespace,
) -> list[str]:
    """Predict the cases that no record proves done; returns them."""
    output = Path(options.o)

    def predict(todo: list[str]) -> list[str]:
        predictor.prediction_file(output, wanted).kept(case for case in cases if case not in set(todo))
        return predictor.predict_cases({case: cases[case] for case in todo}, output, wanted, workers=options.npp)

    return CaseRecords(output / RECORDS, settings).resume(
        {case: [Path(file) for file in files] for case, files in cases.items()},
        predictor.outputs(output, wanted).files,
        predict,
        options.overwrite,
    )


def _settings(identity: Mapping[str, str], wanted: OutputOptions) -> dict[str, Any]:
    """What decides the predictions, besides the images."""
    return {"model": identity, "options": wanted.record(), "version": __version__}


def fold_of(text: str) -> int | str:
    """The fold that a user names: a number or ``all``."""
    if text != "all" and not text.isdigit():
        raise InputError("-f", repr(text), "fold numbers or all", "e.g. -f 0 1 2 3 4")
    return text if text == "all" else int(text)


def _model_folder(options: argparse.Namespace) -> Path:
    if options.m is not None:
        return Path(options.m)
    from impulse_nnunet.nnunet.planning import dataset_name
    from impulse_nnunet.nnunet.plans import model_folder

    folder = model_folder(dataset_name(options.d, ["nnUNet_results"]), options.tr, options.p, options.c)
    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", "a trained model", "train it, or check -d, -tr, -p and -c")
    return folder

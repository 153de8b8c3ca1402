"""``impulse_nnunet predict``: nnU-Net's flags, and any output grid."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impulse_nnunet import __version__
from impulse_nnunet.cli.device import add_device_flag, chosen_device
from impulse_nnunet.cli.reading_flags import add_reading_flags
from impulse_nnunet.cli.resume_flags import add_resume_flags
from impulse_nnunet.cli.shard_flags import add_shard_flags, shard_from
from impulse_nnunet.errors import InputError
from impulse_nnunet.jobs.case_records import RECORDS, CaseRecords, model_identity
from impulse_nnunet.jobs.content import Contents
from impulse_nnunet.jobs.shards import Shard
from impulse_nnunet.settings import CONFIGURATION, PLANS

if TYPE_CHECKING:
    from impulse_nnunet.nnunet.output_options import OutputOptions
    from impulse_nnunet.nnunet.predictor import ImPulSePredictor

DESCRIPTION = """Predict the images of a folder (named CASE_0000.nii.gz, ... as nnU-Net asks). The labels are those that
nnUNetv2_predict writes; files appear only when they are whole, and one bad case does not stop the others. Cases that an
earlier call made with the same model and options from the same image are kept, by records in OUTPUT/records."""
EXAMPLES = """examples:
  impulse_nnunet predict -d 704 -f 0 -i IMAGES -o LABELS
  impulse_nnunet predict -m MODEL_FOLDER -f 0 1 2 3 4 -i IMAGES -o LABELS
  impulse_nnunet predict -d 704 -f 0 -i IMAGES -o LABELS --spacing 0.5 0.5 0.5
  impulse_nnunet predict -d 704 -f 0 -i IMAGES -o LABELS --mesh glb 3mf --mesh_spacing 0.3
  impulse_nnunet predict -d 704 -f 0 -i IMAGES -o LABELS --shard auto
  impulse_nnunet predict -d 704 -f 0 -i IMAGES -o LABELS --like OTHER_IMAGE.nii.gz --save_displacement
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; those with one dash, and the first ones with two, are nnU-Net's own."""
    add_reading_flags(parser)
    parser.add_argument("-i", required=True, metavar="FOLDER", help="images")
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
        "-f", nargs="+", default=None, metavar="FOLD", help="folds to average (default: all that are trained)"
    )
    parser.add_argument("-chk", default="checkpoint_final.pth", metavar="NAME", help="default: checkpoint_final.pth")
    add_device_flag(parser)
    parser.add_argument("-npp", type=int, default=2, help="threads that read and write (default: 2)")
    add_shard_flags(parser)
    parser.add_argument(
        "--save_probabilities", action="store_true", help="also nnU-Net's .npz; classes x volume in memory"
    )
    add_resume_flags(parser)
    parser.add_argument("--disable_progress_bar", action="store_true", help="no progress bar")
    parser.add_argument("--verbose", action="store_true", help="more output; tracebacks of errors")
    grid = parser.add_mutually_exclusive_group()
    grid.add_argument("--spacing", nargs=3, type=float, metavar=("Z", "Y", "X"), help="labels at this spacing, mm")
    grid.add_argument("--like", metavar="IMAGE", help="labels on this image's grid")
    parser.add_argument(
        "--save_displacement",
        action="store_true",
        help="also CASE_displacement: the field that deforms into the template, a vector image in mm (LPS)",
    )
    meshes = parser.add_argument_group("surfaces from the network's field (docs/outputs.md)")
    meshes.add_argument(
        "--mesh",
        nargs="+",
        metavar="FORMAT",
        help="also meshes/CASE.FORMAT: glb, 3mf, obj or vtp; of the labels on a fine grid, whatever the labels' own is",
    )
    meshes.add_argument(
        "--mesh_spacing", type=float, default=0.5, metavar="MM", help="spacing of that grid (default: 0.5)"
    )
    for flag in ("-step_size", "-nps"):
        parser.add_argument(flag, default=None, help=argparse.SUPPRESS)  # nnU-Net's; nothing to set here
    for flag in ("--disable_tta", "--not_on_device"):
        parser.add_argument(flag, action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Predict."""
    from impulse_nnunet.io.listing import list_cases
    from impulse_nnunet.laterality.judgement import prediction_summary
    from impulse_nnunet.nnunet.models import trained_folds
    from impulse_nnunet.nnunet.output_options import OutputOptions
    from impulse_nnunet.nnunet.predictor import ImPulSePredictor

    shard = shard_from(options) or Shard()
    predictor = ImPulSePredictor(chosen_device(options.device), not options.disable_progress_bar, options.verbose)
    folds = None if options.f is None else tuple(fold_of(text) for text in options.f)
    model = _model_folder(options)
    predictor.initialize_from_trained_model_folder(str(model), folds, options.chk)
    wanted = OutputOptions(
        probabilities=options.save_probabilities,
        displacement=options.save_displacement,
        spacing_mm=tuple(options.spacing) if options.spacing else None,
        like=options.like,
        meshes=tuple(dict.fromkeys(options.mesh or ())),
        mesh_spacing_mm=options.mesh_spacing,
    )
    cases = dict(shard.of(list(list_cases(Path(options.i), predictor.dataset_json["file_ending"]).items())))
    settings = _settings(model_identity(model, folds or trained_folds(model, options.chk), options.chk), wanted)
    try:
        done = _predict_missing(predictor, cases, wanted, settings, options)
    finally:
        sides = prediction_summary(predictor.side_agreements)
        if sides:
            print(sides)
    kept = f", {len(cases) - len(done)} kept" if len(done) < len(cases) else ""
    share = f" (shard {shard})" if shard.count > 1 else ""
    print(f"{len(done)} case(s) predicted into {options.o}{kept}{share}")
    return 0


def _predict_missing(
    predictor: ImPulSePredictor,
    cases: Mapping[str, list[str]],
    wanted: OutputOptions,
    settings: Mapping[str, Any],
    options: argparse.Namespace,
) -> list[str]:
    """Predict the cases that no record proves done; returns them."""
    output, ending = Path(options.o), predictor.dataset_json["file_ending"]

    def predict(todo: list[str]) -> list[str]:
        return predictor.predict_cases({case: cases[case] for case in todo}, output, wanted, workers=options.npp)

    return CaseRecords(output / RECORDS, settings).resume(
        {case: [Path(file) for file in files] for case, files in cases.items()},
        lambda case: wanted.files(output, case, ending),
        predict,
        options.overwrite,
    )


def _settings(identity: Mapping[str, str], wanted: OutputOptions) -> dict[str, Any]:
    """What decides the predictions, besides the images."""
    like = None if wanted.like is None else Contents().digest(Path(wanted.like))
    entries = asdict(wanted) | {"like": like}
    if not wanted.meshes:  # records from before there were meshes stay valid
        entries = {name: value for name, value in entries.items() if name not in ("meshes", "mesh_spacing_mm")}
    return {"model": identity, "options": entries, "version": __version__}


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

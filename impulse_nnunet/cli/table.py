"""``impulse_nnunet table``: a table of the paper on any data set."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impulse_nnunet.cli.device import add_device_flag, checked_device
from impulse_nnunet.errors import USER_ERROR, InputError
from impulse_nnunet.io.files import check_is_no_file
from impulse_nnunet.settings import CONFIGURATION, PLANS

if TYPE_CHECKING:
    from impulse_nnunet.studies.options import StudyOptions

DESCRIPTION = """Make a table of the paper on a data set: each system is trained with each seed under one budget,
predicts, and is scored with all metrics; seeds are pooled and tested against ImPulSe+. The table has the paper's own
figures beside what was measured, and parameters, times and memory. Models land in nnUNet_results, each under a
configuration of its own. What an earlier call finished is kept while its record still matches; an interrupted call is
resumed by the same call; one failed run does not stop the others.
Tables: 1 systems, 2 parts of ImPulSe+, 3 encoders, 4 kinds of input, 5 parts on LBAV, fig10 share of the points inside
bronchi and vessels."""
EXAMPLES = """examples:
  impulse_nnunet table -d 803 --table 1 --seeds 3 --budget 2000 -o STUDY --dry_run
  impulse_nnunet table -d 803 --table 1 --seeds 3 --budget 2000 -o STUDY
  impulse_nnunet table -d 803 --table 2 --budget 30min -o STUDY
  impulse_nnunet table -d 801 --table 4 --inputs i=801 ibav=804 ibav_truth=803 -o STUDY
  impulse_nnunet table -d 803 --table 1 --rows plus fcn --models nnunet=MODEL_FOLDER,MODEL_FOLDER -o STUDY
a MODEL_FOLDER is nnUNet_results/DATASET/TRAINER__PLANS__CONFIGURATION with the fold of -f trained
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; those with one dash are nnU-Net's own."""
    add = parser.add_argument
    add("-d", type=int, required=True, metavar="ID", help="data set; planned and preprocessed if that is not done yet")
    add("--table", required=True, choices=["1", "2", "3", "4", "5", "fig10"])
    add("-o", required=True, metavar="FOLDER", help="the table goes to FOLDER/table_N")
    add("--seeds", type=int, default=5, metavar="N", help="trainings of each system (default: 5)")
    add("--budget", metavar="STEPS|MINUTESmin", help="of each training, e.g. 2000 or 30min (default: the plans' own)")
    add("--overwrite", action="store_true", help="start over; what earlier calls made is kept in superseded/")
    add("--dry_run", action="store_true", help="print what would be done")
    add("--rows", nargs="+", default=[], metavar="KEY", help="only these rows, e.g. plus fcn")
    add(
        "--models",
        nargs="+",
        default=[],
        metavar="NAME=FOLDER,...",
        help="finished models, one for each seed, of a row (by its key) or of a further one",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the plans for all of our "
        "systems, e.g. impulse.training.learning_rate=0.002; may be repeated",
    )
    add(
        "--inputs",
        nargs="+",
        default=[],
        metavar="KIND=ID",
        help="data sets of tables 4 and 5: i, ibav, l, "
        "lbav, or with _truth (default: those that build_inputs made from -d)",
    )
    add("--shares", nargs="+", type=float, metavar="SHARE", help="of 1 - gamma for fig10 (default: 0 0.2 0.5 0.8)")
    add(
        "--tolerance_mm",
        nargs="+",
        type=float,
        default=[1, 2, 3],
        help="of the NSD; the first stands in the table (default: 1 2 3)",
    )
    add("--hd95", action="store_true", help="also the 95th percentile of the Hausdorff distance, in the comparison")
    add("-f", default="0", metavar="FOLD", help="fold to train on (default: 0)")
    add("-p", default=PLANS, metavar="PLANS", help=f"default: {PLANS}")
    add("-c", default=CONFIGURATION, metavar="CONFIGURATION", help=f"default: {CONFIGURATION}")
    add("--stock_plans", default="nnUNetPlans", metavar="PLANS", help="of stock nnU-Net (default: nnUNetPlans)")
    add("--stock_configuration", default="3d_fullres", metavar="NAME", help="of those (default: 3d_fullres)")
    add("--mirroring", action="store_true", help="let stock nnU-Net mirror; left and right are then hard to tell apart")
    add_device_flag(parser)
    add("-np", type=int, default=2, metavar="N", help="cases at a time in preprocessing and scoring (default: 2)")
    add("--verbose", action="store_true", help="tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Make the table."""
    from impulse_nnunet.runtime.environment import ensure_variables

    ensure_variables()
    from impulse_nnunet.nnunet.planning import require_folders
    from impulse_nnunet.studies.study import RunsFailedError, describe_plan, make_table

    require_folders()
    check_is_no_file(Path(options.o))
    study = _options(options)
    if options.dry_run:
        print("\n".join(describe_plan(study)))
        return 0
    try:
        paths = make_table(study, lambda line: print(line, flush=True))
    except RunsFailedError as error:
        print(f"impulse_nnunet: {error}")
        return USER_ERROR
    print("\n".join(str(path) for path in paths))
    return 0


def _options(options: argparse.Namespace) -> StudyOptions:
    import torch

    from impulse_nnunet.evaluation.settings import MetricSettings
    from impulse_nnunet.studies.budget import Budget
    from impulse_nnunet.studies.options import StudyOptions
    from impulse_nnunet.studies.rows import DEFAULT_SHARES

    if not options.f.isdigit():
        raise InputError("-f", repr(options.f), "a fold number", "e.g. -f 0")
    return StudyOptions(
        dataset=options.d,
        table=options.table,
        output=Path(options.o),
        seeds=options.seeds,
        budget=None if options.budget is None else Budget.parse(options.budget),
        fold=int(options.f),
        device=checked_device(options.device) or ("cuda" if torch.cuda.is_available() else "cpu"),
        processes=options.np,
        overwrite=options.overwrite,
        rows=tuple(options.rows),
        models=_models(options.models),
        settings=_settings(options.set),
        inputs={
            kind: _number(value, f"--inputs {kind}") for kind, value in _pairs(options.inputs, "--inputs", "KIND=ID")
        },
        shares=tuple(options.shares or DEFAULT_SHARES),
        plans=options.p,
        configuration=options.c,
        stock_plans=options.stock_plans,
        stock_configuration=options.stock_configuration,
        mirroring=options.mirroring,
        metrics=MetricSettings(tolerances_mm=tuple(options.tolerance_mm), hd95=options.hd95),
    )


def _models(texts: list[str]) -> dict[str, tuple[Path, ...]]:
    models = {}
    for name, folders in _pairs(texts, "--models", "NAME=FOLDER,..."):
        if name in models:
            raise InputError(f"--models {name}", "the name twice", f"{name}=FOLDER,FOLDER", "join them with a comma")
        models[name] = tuple(Path(folder) for folder in folders.split(",") if folder)
    return models


def _settings(texts: list[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name, value in _pairs(texts, "--set", "NAME=VALUE"):
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings


def _pairs(texts: list[str], flag: str, form: str) -> list[tuple[str, str]]:
    pairs = []
    for text in texts:
        name, _, value = text.partition("=")
        if not name or not value:
            raise InputError(f"{flag} {text}", "no name or no value", form, "correct it")
        pairs.append((name, value))
    return pairs


def _number(text: str, subject: str) -> int:
    if not text.isdigit():
        raise InputError(subject, repr(text), "the ID of a data set", "e.g. --inputs lbav=804")
    return int(text)

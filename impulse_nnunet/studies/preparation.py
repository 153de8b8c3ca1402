"""Planning and preprocessing that a study needs, where it is not there yet: ours, and stock nnU-Net's."""

from __future__ import annotations

import os
from pathlib import Path

from impulse_nnunet.errors import InputError
from impulse_nnunet.jobs.process import run_command
from impulse_nnunet.nnunet.planning import dataset_name, plan_dataset, preprocess_dataset, read_raw_dataset_json
from impulse_nnunet.settings import CONFIGURATION, PLANS
from impulse_nnunet.studies.options import StudyOptions
from impulse_nnunet.studies.runs import Say
from impulse_nnunet.studies.variants import plans_file, read_configuration

STOCK = "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints:plan_and_preprocess_entry"
STOCK_PLANS, STOCK_CONFIGURATION = "nnUNetPlans", "3d_fullres"


def is_preprocessed(dataset: str, plans: str, configuration: str) -> bool:
    """Whether plans are there and every training case is preprocessed by them."""
    if not plans_file(dataset, plans).is_file():
        return False
    identifier = read_configuration(dataset, plans, configuration)["data_identifier"]
    folder = plans_file(dataset, plans).parent / identifier
    raw = Path(os.environ["nnUNet_raw"], dataset)
    stored = {path.name.split(".")[0] for path in folder.glob("*.pkl")} if folder.is_dir() else set()
    return len(stored) >= int(read_raw_dataset_json(raw)["numTraining"])


def prepare(dataset: str, options: StudyOptions, say: Say) -> None:
    """Plan and preprocess a data set by our plans, where that is missing.

    Raises:
        InputError: Plans of another name than the usual are missing; only their maker knows their settings.
    """
    if is_preprocessed(dataset, options.plans, options.configuration):
        return
    if not plans_file(dataset, options.plans).is_file():
        if (options.plans, options.configuration) != (PLANS, CONFIGURATION):
            raise InputError(
                f"`plans` {options.plans}",
                f"no such plans of {dataset}",
                f"{PLANS}, or plans that are made",
                "run impulse_nnunet plan_and_preprocess with `overwrite_plans_name`",
            )
        plan_dataset(dataset, workers=options.processes, progress_bar=False)
        say(f"{dataset}: planned")
    preprocess_dataset(dataset, options.plans, options.configuration, options.processes, progress_bar=False)
    say(f"{dataset}: preprocessed by {options.plans}")


def prepare_stock(dataset: str, options: StudyOptions, say: Say) -> None:
    """The same by nnU-Net's own planner and preprocessor, in a process of its own.

    Raises:
        InputError: As :func:`prepare`.
        CommandError: nnU-Net failed.
    """
    if is_preprocessed(dataset, options.stock_plans, options.stock_configuration):
        return
    if (options.stock_plans, options.stock_configuration) != (STOCK_PLANS, STOCK_CONFIGURATION):
        raise InputError(
            f"`stock_plans` {options.stock_plans}",
            f"{dataset} not preprocessed by them",
            "plans that are made",
            "run nnUNetv2_plan_and_preprocess",
        )
    workers = str(options.processes)
    number = str(int(dataset[len("Dataset") :].split("_")[0]))
    name = f"stock_preprocessing_{number}"
    command = [STOCK, "-d", number, "-c", STOCK_CONFIGURATION, "-np", workers, "-npfp", workers]
    run_command(command, options.output / "logs" / f"{name}.log", name=name)
    say(f"{dataset}: planned and preprocessed by stock nnU-Net ({STOCK_CONFIGURATION})")


def resolve_dataset(number: int) -> str:
    """The name of a data set from its ID."""
    return dataset_name(number)

"""``impulse_nnunet describe``: the parts of a network, of the paper's sizes or of plans."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impulse_nnunet.errors import InputError

if TYPE_CHECKING:
    from impulse_nnunet.network import Task
    from impulse_nnunet.network.description import NetworkDescription, NetworkPart

DESCRIPTION = """Print the parts of a network with their parameters, grids and settings, and the memory of a training
step. Without -d or -m the paper's sizes are described. Nothing is trained, and no GPU is needed."""
EXAMPLES = """examples:
  impulse_nnunet describe
  impulse_nnunet describe -tr nnUNetTrainerFCN --channels 1 --classes 6
  impulse_nnunet describe -d 704
  impulse_nnunet describe -m MODEL_FOLDER --json
"""
CHANNELS, CLASSES = 4, 19  # the paper's: CT, bronchi, arteries, veins; 18 segments and background


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--preset", choices=["paper"], default="paper", help="sizes to describe (default: paper)")
    source.add_argument("-d", metavar="ID", help="the plans of a data set, ID or name")
    source.add_argument("-m", metavar="FOLDER", help="the plans of a trained model")
    parser.add_argument("-p", metavar="PLANS", help="with -d (default: ImPulSePlans)")
    parser.add_argument("-c", metavar="CONFIGURATION", help="with -d or -m (default: 3d_impulse)")
    parser.add_argument("-tr", metavar="TRAINER", help="default: the model's, or nnUNetTrainerImPulSe")
    parser.add_argument("--channels", type=int, help=f"image channels (default: the data set's, or {CHANNELS})")
    parser.add_argument("--classes", type=int, help=f"classes with background (default: the data set's, or {CLASSES})")
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.add_argument("--verbose", action="store_true", help="tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Print the description."""
    for name in ("channels", "classes"):
        value, least = getattr(options, name), 1 if name == "channels" else 2
        if value is not None and value < least:
            raise InputError(f"--{name}", str(value), f"{least} or more", "give a larger number")
    description = _described(options)
    print(json.dumps(description.to_json(), indent=2) if options.json else as_text(description))
    return 0


def as_text(description: NetworkDescription) -> str:
    """A table for a terminal."""
    rows = [("part", "parameters", "grid", "")]
    for name, part in description.parts.items():
        rows.append((name, _number(part.parameters), _grid(part), part.settings))
        for level in part.levels:
            rows.append(("", "", " x ".join(str(n) for n in level.grid), f"{level.channels} channels"))
    rows.append(("trained", _number(description.trained_parameters), "", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"{name:<{widths[0]}}  {number:>{widths[1]}}  {grid:<{widths[2]}}  {text}".rstrip()
        for name, number, grid, text in rows
    ]
    title = (
        f"{description.system} ({description.trainer}): {_amount(description.input_channels, 'input channel')}, "
        f"{description.number_of_classes} classes with background"
    )
    step = (
        f"a training step: {_amount(description.batch_size, 'sample')} of {_number(description.points)} points, "
        f"about {description.memory_gb:.1f} GB of GPU memory"
    )
    return "\n".join([title, "", *lines, "", step])


def _described(options: argparse.Namespace) -> NetworkDescription:
    from impulse_nnunet.io.dataset_json import channel_names
    from impulse_nnunet.network.description import describe
    from impulse_nnunet.network.systems import system_of
    from impulse_nnunet.settings import network_task, settings_from_configuration

    if options.d is None and options.m is None:
        task, trainer = _paper(options), options.tr or "nnUNetTrainerImPulSe"
        return describe(task, system_of(trainer), "learned", 4, 4096, trainer)
    trainer, configuration, dataset_json = _read(options)
    channels = len(channel_names(dataset_json))
    classes = len([name for name in dataset_json["labels"] if name != "ignore"])
    task = network_task(configuration, options.channels or channels, options.classes or classes)
    settings = settings_from_configuration(configuration)
    mode, batch_size, points = settings.template.mode, configuration["batch_size"], settings.sampling.points
    return describe(task, system_of(trainer), mode, batch_size, points, trainer)


def _paper(options: argparse.Namespace) -> Task:
    from impulse_nnunet.network import Task
    from impulse_nnunet.network.settings import PAPER

    return Task(
        settings=PAPER,
        input_channels=options.channels or CHANNELS,
        number_of_classes=options.classes or CLASSES,
        input_grid=PAPER.template_grid,
    )


def _read(options: argparse.Namespace) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Trainer, configuration and dataset.json of a data set or a model."""
    from impulse_nnunet.settings import CONFIGURATION, PLANS

    trainer, plans_name, name = options.tr or "nnUNetTrainerImPulSe", options.p or PLANS, options.c or CONFIGURATION
    if options.m is not None:
        folder, file = Path(options.m), "plans.json"
        parts = folder.resolve().name.split("__")  # nnU-Net's TRAINER__PLANS__CONFIGURATION
        if len(parts) == 3:
            trainer, name = options.tr or parts[0], options.c or parts[2]
    else:
        import os

        from impulse_nnunet.nnunet.planning import dataset_name

        found = dataset_name(options.d, ["nnUNet_preprocessed"])
        folder, file = Path(os.environ["nnUNet_preprocessed"], found), f"{plans_name}.json"
    plans, dataset_json = _json(folder / file), _json(folder / "dataset.json")
    return trainer, _configuration(plans, name, folder / file), dataset_json


def _configuration(plans: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    configurations = plans.get("configurations", {})
    if name not in configurations:
        raise InputError(f"-c {name}", f"no such entry in {path}", ", ".join(configurations) or "one", "choose one")
    configuration = configurations[name]
    if "inherits_from" not in configuration:
        return configuration
    from impulse_nnunet.nnunet.plans import resolved_configuration

    return resolved_configuration(plans, name)


def _json(path: Path) -> dict[str, Any]:
    from impulse_nnunet.io.json_files import read_json_object

    remedy = "plan the data set first (impulse_nnunet plan_and_preprocess), or check -d, -p and -m"
    return read_json_object(path, "plans and dataset.json", remedy)


def _amount(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _number(value: int) -> str:
    return f"{value:,}".replace(",", " ")


def _grid(part: NetworkPart) -> str:
    return "any point" if part.grid is None else " x ".join(str(n) for n in part.grid)

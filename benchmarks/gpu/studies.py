"""Parts ``hippocampus``, ``convergence`` and ``paper``: trainings by the commands that a user has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.gpu.context import Context
from impulse_nnunet.io.files import link_whole

ROWS = ("plus", "impulse", "lowres", "nnunet")  # of Table 1
TINY_CHANGES = {
    "impulse.training.iterations": 4,
    "impulse.training.validation_iterations": 1,
    "impulse.sampling.points": 256,
    "architecture.arch_kwargs.features_per_stage": [8, 8, 16, 16],
    "batch_size": 2,
}


@dataclass(frozen=True)
class DataSet:
    """A raw data set and the settings of its study.

    Args:
        id: Of nnU-Net.
        name: Folder name.
        changes: Dotted settings of the plans -> value.
    """

    id: int
    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    def raw(self, context: Context) -> Path:
        """Its raw folder."""
        return context.work / "nnUNet_raw" / self.name


HIPPOCAMPUS = DataSet(704, "Dataset704_Hippocampus")
COUINAUD = DataSet(720, "Dataset720_CouinaudShapes")
PHANTOM = DataSet(801, "Dataset801_PhantomSegments")
PHANTOM_IBAV = DataSet(803, "Dataset803_PhantomSegments_IBAV")
SYNTHETIC = DataSet(990, "Dataset990_Chest", TINY_CHANGES)


def data_sets(context: Context) -> list[DataSet]:
    """Those of the memory check: hippocampus, liver segments, lung phantoms; synthetic ones in a rehearsal."""
    if context.tiny or context.data is None:
        return [synthetic(context)]
    return [linked(context, HIPPOCAMPUS), linked(context, COUINAUD), phantoms(context)]


def linked(context: Context, data_set: DataSet) -> DataSet:
    """A data set from the data folder under nnU-Net's raw folder."""
    if context.data is None:
        raise ValueError(f"--data is missing, expected a folder with {data_set.name}")
    for file in (context.data / data_set.name).rglob("*"):
        target = data_set.raw(context) / file.relative_to(context.data / data_set.name)
        if file.is_file() and not target.exists():
            link_whole(file, target)
    return data_set


def synthetic(context: Context) -> DataSet:
    """Five lobes in made-up chests, small enough for a rehearsal."""
    from impulse_nnunet.phantom.simple_chest import write_dataset

    folder = SYNTHETIC.raw(context)
    if not folder.is_dir():
        write_dataset(folder, 6, 0, (24, 28, 32))
    return SYNTHETIC


def phantoms(context: Context) -> DataSet:
    """Lung phantoms with CT and true airway and vessel masks as input."""
    number, size = ("5", ("32", "40", "40")) if context.tiny else ("12", ("128", "160", "160"))
    if not PHANTOM.raw(context).is_dir():
        run(
            context,
            "phantom",
            "-d",
            "801",
            "-n",
            number,
            "--size",
            *size,
            "-np",
            str(os.cpu_count()),
            "--disable_progress_bar",
        )
    if not PHANTOM_IBAV.raw(context).is_dir():
        command = f"build_inputs -d 803 --ct 801 --inputs ibav --bav ground_truth -np {os.cpu_count()}"
        run(context, *command.split(), "--disable_progress_bar")
    return DataSet(PHANTOM_IBAV.id, PHANTOM_IBAV.name, TINY_CHANGES if context.tiny else {})


def run(context: Context, *arguments: str, program: str = "impulse_nnunet") -> str:
    """A command of ours, or of nnU-Net, in a process of its own; its output.

    Raises:
        RuntimeError: It failed.
    """
    context.set_folders()
    modules = {
        "impulse_nnunet": "from impulse_nnunet.cli.main import main; sys.exit(main())",
        "nnUNetv2_train": "from nnunetv2.run.run_training import run_training_entry as f; f()",
    }
    code = f"import sys; sys.argv[0] = {program!r}; {modules[program]}"
    finished = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    output = finished.stdout + finished.stderr
    if finished.returncode:
        raise RuntimeError(f"{program} {' '.join(arguments)}: exit code {finished.returncode}: {output[-3000:]}")
    return output


def settings(changes: Mapping[str, Any]) -> list[str]:
    """As flags of ``plan_and_preprocess``."""
    return [word for name, value in changes.items() for word in ("--set", f"{name}={json.dumps(value)}")]


def trained(context: Context, data_set: DataSet, changes: Mapping[str, Any], *flags: str) -> dict[str, Any]:
    """Plan, preprocess, train fold 0 and validate; Dice, losses and seconds."""
    processes = str(min(8, os.cpu_count() or 1))
    changes = {**data_set.changes, **changes}
    start = perf_counter()
    run(
        context,
        "plan_and_preprocess",
        "-d",
        str(data_set.id),
        "-np",
        processes,
        "-npfp",
        processes,
        "--no_pbar",
        *flags,
        *settings(changes),
    )
    planned = perf_counter()
    run(
        context,
        str(data_set.id),
        "3d_impulse",
        "0",
        "-tr",
        "nnUNetTrainerImPulSe",
        "-p",
        "ImPulSePlans",
        "-device",
        context.device.type,
        program="nnUNetv2_train",
    )
    seconds = {"plan_and_preprocess": planned - start, "train": perf_counter() - planned}
    name = "nnUNetTrainerImPulSe__ImPulSePlans__3d_impulse"
    fold = context.work / "nnUNet_results" / data_set.name / name / "fold_0"
    return {"seconds": seconds} | outcome(fold)


def outcome(fold: Path) -> dict[str, Any]:
    """Dice of the validation, and the log's losses and times."""
    summary = json.loads((fold / "validation" / "summary.json").read_text(encoding="utf-8"))
    (log,) = sorted(fold.glob("training_log_*.txt"))[-1:]
    lines = log.read_text(encoding="utf-8").splitlines()
    losses = [float(line.split("train_loss")[1]) for line in lines if "train_loss" in line]
    times = [float(line.split("Epoch time:")[1].strip().split()[0]) for line in lines if "Epoch time:" in line]
    return {
        "dice": summary["foreground_mean"]["Dice"],
        "epochs": len(losses),
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "finite": bool(np.isfinite(losses).all()),
        "epoch_seconds": float(np.median(times)),
        "template": [line.split(":", 3)[-1].strip() for line in lines if "alone reaches" in line],
    }


def hippocampus(context: Context) -> dict[str, Any]:
    """Fold 0 in some minutes (the CPU's best figures are in docs/results.md)."""
    data_set = synthetic(context) if context.tiny else linked(context, HIPPOCAMPUS)
    changes = {"impulse.training.max_minutes": context.minutes}
    if not context.tiny:
        changes |= {"impulse.training.iterations": 100, "impulse.training.validation_iterations": 5}
    return trained(context, data_set, changes)


def paper(context: Context) -> dict[str, Any]:
    """The paper's sizes, CT and three masks, some minutes: does the loss fall, is everything finite?"""
    data_set = phantoms(context)
    changes = {
        "impulse.training.max_minutes": context.minutes,
        "impulse.template.iterations": 2 if context.tiny else 100,
    }
    flags = () if context.tiny else ("--preset", "paper")
    if not context.tiny:
        changes |= {"impulse.training.iterations": 25, "impulse.training.validation_iterations": 2}
    return trained(context, data_set, changes, *flags)


def convergence(context: Context) -> dict[str, Any]:
    """Table 1's main systems side by side, each some minutes of wall-clock, all at the same time on the device."""
    data_set = synthetic(context) if context.tiny else linked(context, COUINAUD)
    rows = ROWS[:2] if context.tiny else ROWS
    processes = str(min(8, os.cpu_count() or 1))
    run(
        context,
        "plan_and_preprocess",
        "-d",
        str(data_set.id),
        "-np",
        processes,
        "--no_pbar",
        *settings(data_set.changes),
    )
    output = context.work / "convergence"

    def table(name: str, chosen: Sequence[str]) -> str:
        settings = f"-d {data_set.id} --table 1 --seeds 1 --budget {context.minutes:g}min -np 4"
        device = context.device.type
        return run(context, "table", *settings.split(), "--rows", *chosen, "-device", device, "-o", str(output / name))

    with ThreadPoolExecutor(len(rows)) as pool:
        list(pool.map(lambda row: table(row, [row]), rows))
    return {"table": table("all", rows)[-4000:], "minutes": context.minutes, "at_once": len(rows)}


CHECKS = {"hippocampus": hippocampus, "paper": paper, "convergence": convergence}

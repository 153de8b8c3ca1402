"""Planning and training one nnU-Net model, stock or ours, as steps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from batchgenerators.utilities.file_and_folder_operations import load_json

from impulse_nnunet.errors import InputError
from impulse_nnunet.jobs.process import LONG_PATIENCE_S
from impulse_nnunet.jobs.step import Step
from impulse_nnunet.lungs.prediction import best_device
from impulse_nnunet.nnunet.plans import default_plans_name, resolved_configuration
from impulse_nnunet.settings import CONFIGURATION, PLANS

OUR_PLANNER = "ImPulSePlanner"
OUR_TRAINER = "nnUNetTrainerImPulSe"


@dataclass(frozen=True, kw_only=True)
class StageOptions:
    """One model.

    Args:
        part: ``bav``, ``lobes`` or ``segments``.
        trainer: Any of nnU-Net's, or ours.
        planner: Any of nnU-Net's, or ours.
        configuration: Configuration of the plans.
        plans: Name of the plans; the planner's own by default.
        settings: ``NAME=VALUE`` for our planner.
        preset: For our planner.
        memory_gb: GPU memory to plan for; the planner's own by default.
    """

    part: str
    trainer: str = OUR_TRAINER
    planner: str = OUR_PLANNER
    configuration: str = CONFIGURATION
    plans: str | None = None
    settings: tuple[str, ...] = ()
    preset: str = "auto"
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        if self.planner != OUR_PLANNER and (self.settings or self.preset != "auto"):
            raise InputError(
                f"{self.part}: `settings` or `preset`",
                f"the planner {self.planner}",
                OUR_PLANNER,
                "nnU-Net's planners have no such settings; leave them out",
            )

    @property
    def plans_name(self) -> str:
        """Name of the plans file, without its ending."""
        if self.plans is not None or self.planner == OUR_PLANNER:
            return self.plans or PLANS
        found = default_plans_name(self.planner)
        if found is None:
            raise InputError(
                f"{self.part}: planner",
                repr(self.planner),
                f"{OUR_PLANNER} or one of nnU-Net's, e.g. ExperimentPlanner",
                "check the name",
            )
        return found


@dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """What all steps share.

    Args:
        device: ``cpu`` or ``cuda``; CUDA if there is one by default.
        processes: That read, preprocess and write.
        gpus: For each training.
        disable_tta: Masks without mirroring.
    """

    device: str | None = None
    processes: int = 2
    gpus: int = 1
    disable_tta: bool = False


def plan_step(folder: Path, stage: StageOptions, common: CommonOptions, before: Sequence[Step]) -> Step:
    """Fingerprint, plans and preprocessing of a raw data set."""
    number, processes = folder.name[len("Dataset") :].partition("_")[0].lstrip("0"), str(common.processes)
    ours = stage.planner == OUR_PLANNER
    command = ["impulse_nnunet", "plan_and_preprocess"] if ours else ["nnUNetv2_plan_and_preprocess"]
    command += ["-d", number, "-c", stage.configuration, "-npfp", processes, "-np", processes, "--no_pbar", "--clean"]
    command += [] if ours else ["-pl", stage.planner, "--verify_dataset_integrity"]
    command += ["--preset", stage.preset] if stage.preset != "auto" else []
    command += ["-overwrite_plans_name", stage.plans] if stage.plans else []
    command += ["-gpu_memory_target", f"{stage.memory_gb:g}"] if stage.memory_gb is not None else []
    for setting in stage.settings:
        command += ["--set", setting]
    preprocessed = Path(os.environ["nnUNet_preprocessed"], folder.name)
    plans = preprocessed / f"{stage.plans_name}.json"
    sources = [folder / name for name in ("dataset.json", "imagesTr", "labelsTr")] if not before else []
    return Step(
        name=f"{stage.part}_plan",
        title=f"{stage.part}: plans and preprocessing",
        commands=(tuple(command),),
        record=preprocessed / f"step_{stage.plans_name}_{stage.configuration}.json",
        sources=tuple(sources),
        products=(plans, preprocessed / "gt_segmentations"),
        owned=(plans,),
        after=tuple(before),
    )


def training_steps(
    name: str, stage: StageOptions, folds: Sequence[str], common: CommonOptions, planned: Step
) -> list[Step]:
    """Training and validation of each fold; an interrupted one goes on from its last checkpoint."""
    model = Path(os.environ["nnUNet_results"], name, f"{stage.trainer}__{stage.plans_name}__{stage.configuration}")
    steps = []
    for fold in folds:
        command = ["nnUNetv2_train", name, stage.configuration, fold, "-tr", stage.trainer, "-p", stage.plans_name]
        command += ["-device", common.device or best_device()]
        command += ["-num_gpus", str(common.gpus)] if common.gpus > 1 else []
        folder = model / f"fold_{fold}"
        step = Step(
            name=f"{stage.part}_train_{fold}",
            title=f"{stage.part}: training of fold {fold}",
            commands=(tuple(command),),
            record=model / f"step_fold_{fold}.json",
            facts=partial(_planned, planned.products[0], stage.configuration),
            products=(folder / "checkpoint_final.pth", folder / "validation" / "summary.json"),
            owned=(folder,),
            after=(planned,),
            resume_flags=("--c",),
            patience_s=LONG_PATIENCE_S,
        )
        steps.append(step)
    return steps


def _planned(plans: Path, configuration: str) -> dict[str, Any]:
    """What the plans say of a configuration, a user's edits included; other configurations are of no interest."""
    if not plans.is_file():
        return {}
    content = load_json(str(plans))
    shared = {name: value for name, value in content.items() if name != "configurations"}
    return {"plans": shared, "configuration": resolved_configuration(content, configuration)}

"""What a study is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.settings import MetricSettings
from impulse_nnunet.settings import CONFIGURATION, PLANS
from impulse_nnunet.studies.budget import Budget
from impulse_nnunet.studies.rows import DEFAULT_SHARES, INPUT_NAMES, TABLES

READ_BY_PREPROCESSING = ("impulse.grid.working_grid", "impulse.sampling.mask_channels", "impulse.sampling.tree_folders")


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """A table on a data set.

    Args:
        dataset: ID.
        table: One of :data:`~impulse_nnunet.studies.rows.TABLES`.
        output: Folder of the tables.
        seeds: Trainings of each system, with seeds 0, 1, ...
        budget: Budget of each training; None takes that of the plans.
        fold: Fold to train on.
        device: ``cpu`` or ``cuda``.
        processes: Cases at a time in preprocessing and evaluation.
        overwrite: Start over, setting aside what earlier calls made; else they are resumed.
        rows: Keys of the rows to make; all if empty.
        models: Row key or new name -> folders of finished models, one for each seed.
        settings: Dotted settings that all of our systems get.
        inputs: Kind of input -> ID of its data set, for tables 4 and 5.
        shares: Values of 1 - gamma for ``fig10``.
        plans: Name of our plans.
        configuration: Configuration of our plans, that the systems inherit from.
        stock_plans: Name of nnU-Net's own plans.
        stock_configuration: Stock configuration of those.
        mirroring: Let stock nnU-Net mirror.
        metrics: How predictions are scored; the first tolerance is the tables' NSD.
    """

    dataset: int
    table: str
    output: Path
    seeds: int = 5
    budget: Budget | None = None
    fold: int | str = 0
    device: str = "cuda"
    processes: int = 2
    overwrite: bool = False
    rows: tuple[str, ...] = ()
    models: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, int] = field(default_factory=dict)
    shares: tuple[float, ...] = DEFAULT_SHARES
    plans: str = PLANS
    configuration: str = CONFIGURATION
    stock_plans: str = "nnUNetPlans"
    stock_configuration: str = "3d_fullres"
    mirroring: bool = False
    metrics: MetricSettings = field(default_factory=MetricSettings)

    def __post_init__(self) -> None:
        if self.table not in TABLES:
            raise InputError("`table`", repr(self.table), f"one of {', '.join(TABLES)}", "choose one")
        if self.seeds < 1:
            raise InputError("`seeds`", str(self.seeds), "1 or more", "correct it")
        if self.processes < 1:
            raise InputError("`processes`", str(self.processes), "1 or more", "correct it")
        self._check_data()
        self._check_settings()

    def _check_data(self) -> None:
        for kind in self.inputs:
            if kind not in INPUT_NAMES:
                raise InputError(f"`inputs` {kind}", "no such kind", f"one of {', '.join(INPUT_NAMES)}", "correct it")
        if len(set(self.shares)) < len(self.shares) or not all(0 <= share < 1 for share in self.shares):
            raise InputError("`shares`", str(list(self.shares)), "different shares in [0, 1)", "correct them")

    def _check_settings(self) -> None:
        for name in READ_BY_PREPROCESSING:
            if name in self.settings:
                raise InputError(
                    f"`settings` {name}",
                    "a setting that preprocessing reads",
                    "one of training",
                    "give it to plan_and_preprocess with another `overwrite_plans_name`, and as `plans` here",
                )
        for name, folders in self.models.items():
            for folder in folders:
                if not (folder / "plans.json").is_file():
                    raise InputError(
                        f"`models` {name}={folder}",
                        "no plans.json",
                        "TRAINER__PLANS__CONFIGURATION of nnUNet_results",
                        "check the path",
                    )

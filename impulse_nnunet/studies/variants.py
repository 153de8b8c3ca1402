"""One configuration of the plans for each system and seed, inheriting from the planned one; preprocessing is shared."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import write_json
from impulse_nnunet.jobs.locks import locked
from impulse_nnunet.nnunet.plans import resolved_configuration
from impulse_nnunet.settings import (
    PLAN_KEY,
    network_settings_from_configuration,
    settings_from_configuration,
    to_json,
    with_overrides,
)
from impulse_nnunet.studies.budget import Budget
from impulse_nnunet.studies.options import StudyOptions
from impulse_nnunet.studies.rows import FULL, MASK_SHARE, PLUS, StudyRow

SEED = "impulse.training.seed"
OWN_ENTRIES = ("batch_size", "architecture", PLAN_KEY)  # of a configuration, that a variant may change


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A configuration that one training needs.

    Args:
        dataset: Name of the data set.
        plans: Name of the plans file.
        name: Name of the configuration.
        entry: Its content in the plans file.
        resolved: Its content with everything it inherits.
        trainer: nnU-Net trainer.
    """

    dataset: str
    plans: str
    name: str
    entry: Mapping[str, Any]
    resolved: Mapping[str, Any]
    trainer: str

    @property
    def model_folder(self) -> Path:
        """``nnUNet_results/DATASET/TRAINER__PLANS__CONFIGURATION``."""
        return Path(os.environ["nnUNet_results"], self.dataset, f"{self.trainer}__{self.plans}__{self.name}")

    def write(self) -> None:
        """Put the configuration into the plans file, if it is not there as it should be."""
        path = plans_file(self.dataset, self.plans)
        with locked(path.with_suffix(".lock")):
            plans = json.loads(path.read_text(encoding="utf-8"))
            if plans["configurations"].get(self.name) != self.entry:
                plans["configurations"][self.name] = dict(self.entry)
                write_json(plans, path)


def plans_file(dataset: str, plans: str) -> Path:
    """Where a plans file lies."""
    return Path(os.environ["nnUNet_preprocessed"], dataset, f"{plans}.json")


def read_configuration(dataset: str, plans: str, configuration: str) -> dict[str, Any]:
    """A configuration of a plans file with everything it inherits.

    Raises:
        InputError: There is none of that name.
    """
    path = plans_file(dataset, plans)
    content = json.loads(path.read_text(encoding="utf-8"))
    if configuration not in content["configurations"]:
        known = ", ".join(content["configurations"])
        raise InputError(f"configuration {configuration}", f"none in {path}", f"one of {known}", "choose one")
    return deepcopy(resolved_configuration(content, configuration))


def variant(row: StudyRow, seed: int, dataset: str, options: StudyOptions) -> Variant:
    """The configuration of a row and a seed.

    Raises:
        InputError: A setting that the plans do not know, out of range or in contradiction with another.
    """
    if row.stock:
        return _stock_variant(row, seed, dataset, options)
    base = _completed(read_configuration(dataset, options.plans, options.configuration))
    common = with_overrides(deepcopy(base), options.settings)
    budget = options.budget or Budget.of_plans(common)
    content = with_overrides(deepcopy(common), row.changes)
    key = row.key if content != common or row.system != FULL else PLUS.key
    with_overrides(content, {**budget.changes(), SEED: seed})
    _check(content, row)
    name = f"{options.configuration}_{key}_{budget.slug}_seed{seed}{_mark(options.settings)}"
    entry = {"inherits_from": options.configuration} | {name: content[name] for name in OWN_ENTRIES}
    return Variant(dataset=dataset, plans=options.plans, name=name, entry=entry, resolved=content, trainer=row.trainer)


def _stock_variant(row: StudyRow, seed: int, dataset: str, options: StudyOptions) -> Variant:
    budget = options.budget
    if budget is None:
        ours = _completed(read_configuration(dataset, options.plans, options.configuration))
        budget = Budget.of_plans(with_overrides(ours, options.settings))
    base = read_configuration(dataset, options.stock_plans, options.stock_configuration)
    entry = {"inherits_from": options.stock_configuration, "budget": budget.stock_entry(seed, options.mirroring)}
    mirrored = "_mirrored" if options.mirroring else ""
    name = f"{options.stock_configuration}_{budget.slug}_seed{seed}{mirrored}"
    return Variant(
        dataset=dataset,
        plans=options.stock_plans,
        name=name,
        entry=entry,
        resolved=base | entry,
        trainer=row.trainer,
    )


def with_defaults(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs of a training's record, with the settings that this version knows and the record's did not.

    A new setting's default is what versions before did (plans rely on it too), so trainings of before stay valid.
    """
    configuration = inputs.get("configuration")
    if not isinstance(configuration, dict) or PLAN_KEY not in configuration:
        return dict(inputs)
    try:
        return {**inputs, "configuration": _completed(deepcopy(configuration))}
    except (InputError, KeyError, TypeError):  # settings that this version no longer knows: they differ
        return dict(inputs)


def _completed(content: dict[str, Any]) -> dict[str, Any]:
    """Settings that older plans do not spell out, with their defaults."""
    content["architecture"]["arch_kwargs"] = to_json(network_settings_from_configuration(content))
    content[PLAN_KEY] = to_json(settings_from_configuration(content))
    return dict(json.loads(json.dumps(content)))


def _check(content: Mapping[str, Any], row: StudyRow) -> None:
    """Refuse before anything trains what a trainer would refuse."""
    sampling = content[PLAN_KEY]["sampling"]
    if row.changes.get(MASK_SHARE) and not (sampling["mask_channels"] or sampling["tree_folders"]):
        raise InputError(
            row.name,
            "a data set without bronchi and vessels",
            "masks as channels, or tree files",
            "build its inputs with impulse_nnunet build_inputs",
        )
    settings_from_configuration(content)
    network_settings_from_configuration(content)


def _mark(settings: Mapping[str, Any]) -> str:
    """A mark that tells apart runs with different common settings; empty without any."""
    if not settings:
        return ""
    return "_" + hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:6]

"""The nnU-Net planner that writes ImPulSePlans: nnU-Net's fingerprint, our survey of the foreground, our rules."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from batchgenerators.utilities.file_and_folder_operations import load_json
from nnunetv2.configuration import default_num_processes
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.preprocessing.normalization.map_channel_name_to_normalization import get_normalization_scheme
from nnunetv2.utilities.json_export import recursive_fix_for_json_export

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dataset_json import channel_names, sampled_channels, tree_folders
from impulse_nnunet.io.files import copy_whole, write_json
from impulse_nnunet.io.nnunet import reader_for
from impulse_nnunet.laterality.judgement import learn
from impulse_nnunet.laterality.pose import learn_pose
from impulse_nnunet.network.settings import PAPER, NetworkSettings
from impulse_nnunet.planners.rules import (
    BATCH_SIZES,
    POINTS,
    DatasetProperties,
    PlannedSizes,
    estimate_memory_gb,
    plan_sizes,
    search_grid,
    working_grid,
)
from impulse_nnunet.plausibility import judgement as plausibility
from impulse_nnunet.preprocessing.survey import (
    CaseSurvey,
    asymmetries_of,
    facts_of,
    foreground_labels,
    poses_of,
    reading_of,
    survey_dataset,
)
from impulse_nnunet.settings import (
    CONFIGURATION,
    NETWORK_CLASS,
    PLAN_KEY,
    PLANS,
    AugmentationSettings,
    GridSettings,
    ImPulSeSettings,
    LateralitySettings,
    SamplingSettings,
    from_json,
    network_settings_from_configuration,
    settings_from_configuration,
    to_json,
    with_overrides,
)

logger = logging.getLogger(__name__)

PRESETS = ("auto", "paper")
MASK_SHARE = 0.3  # the paper's Fig. 10: 20-50 % lowers intrusions at almost no Dice
MASK_NORMALISATION = "NoNormalization"
SEARCH_GRID = f"{PLAN_KEY}.region.search_grid"  # planned after the overrides, which may change what it follows from


class ImPulSePlanner(ExperimentPlanner):
    """Plans the configuration ``3d_impulse``; the rules stand in docs/planning.md.

    Args:
        preset: ``auto`` (rules) or ``paper`` (128^3, ResNet-18, batch 4, 4096 points, template 128^3).
        overrides: Dotted settings to change after planning, e.g. ``{"impulse.training.epochs": 20}``.
        survey: Survey of the training cases, if it was made already.
    """

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float = 8,
        preprocessor_name: str = "DefaultPreprocessor",
        plans_name: str = PLANS,
        overwrite_target_spacing: list[float] | tuple[float, ...] | None = None,
        suppress_transpose: bool = True,
        preset: str = "auto",
        overrides: Mapping[str, Any] | None = None,
        survey: Mapping[str, CaseSurvey] | None = None,
    ) -> None:
        if overwrite_target_spacing is not None:
            raise InputError(
                "`overwrite_target_spacing`",
                str(overwrite_target_spacing),
                "no such setting with this planner",
                "images are not resampled; use `gpu_memory_target_in_gb` or `overrides` impulse.grid.input_grid",
            )
        if preset not in PRESETS:
            raise InputError("`preset`", repr(preset), f"one of {', '.join(PRESETS)}", "choose one")
        super().__init__(dataset_name_or_id, gpu_memory_target_in_gb, preprocessor_name, plans_name, None, True)
        self.preset, self.overrides = preset, dict(overrides or {})
        self.survey = survey

    def determine_reader_writer(self) -> type[BaseReaderWriter]:
        """nnU-Net's choice; for NIfTI the reader that reorients, unless dataset.json names one."""
        return reader_for(self.dataset_json)

    def plan_experiment(self) -> dict[str, Any]:
        """Survey the cases, apply the rules, write the plans and return them."""
        reader = self.determine_reader_writer()
        survey = self.survey or survey_dataset(self.dataset, reader, self.dataset_json, default_num_processes)
        configuration = self._configuration(survey)
        plans = {
            "dataset_name": self.dataset_name,
            "plans_name": self.plans_identifier,
            "original_median_spacing_after_transp": _median([case.spacing_mm for case in survey.values()]),
            "original_median_shape_after_transp": configuration["median_image_size_in_voxels"],
            "image_reader_writer": reader.__name__,
            "transpose_forward": [0, 1, 2],
            "transpose_backward": [0, 1, 2],
            "configurations": {CONFIGURATION: configuration},
            "experiment_planner_used": type(self).__name__,
            "label_manager": "LabelManager",
            "foreground_intensity_properties_per_channel": self.dataset_fingerprint[
                "foreground_intensity_properties_per_channel"
            ],
        }
        folder = Path(nnUNet_preprocessed, self.dataset_name)
        copy_whole(Path(self.raw_dataset_folder, "dataset.json"), folder / "dataset.json")
        self.plans = plans
        self.save_plans(plans)
        logger.info("%s", _summary(configuration))
        return plans

    def save_plans(self, plans: dict[str, Any]) -> None:
        """Overrides nnU-Net's: configurations of the user's own kept; the file appears only when it is whole."""
        path = Path(nnUNet_preprocessed, self.dataset_name, f"{self.plans_identifier}.json")
        recursive_fix_for_json_export(plans)
        if path.is_file():
            kept = load_json(str(path))["configurations"]
            plans["configurations"] = kept | plans["configurations"]
        write_json(plans, path)
        logger.info("plans were written to %s", path)

    def _properties(self, cases: list[CaseSurvey]) -> DatasetProperties:
        return DatasetProperties(
            image_extents_mm=np.stack([case.image_extent_mm for case in cases]),
            region_extents_mm=np.stack([case.region_extent_mm for case in cases]),
            spacings_mm=np.stack([case.spacing_mm for case in cases]),
            input_channels=len(self._channel_names()),
            number_of_classes=len([name for name in self.dataset_json["labels"] if name != "ignore"]),
        )

    def _choose(self, properties: DatasetProperties) -> tuple[ImPulSeSettings, NetworkSettings, PlannedSizes]:
        schemes = [get_normalization_scheme(name).__name__ for name in self._channel_names()]
        masks = tuple(i for i, scheme in enumerate(schemes) if scheme == MASK_NORMALISATION)
        sampled = sampled_channels(self.dataset_json, masks)
        trees = () if sampled else tree_folders(self.dataset_json)
        sizes = plan_sizes(properties, self.UNet_vram_target_GB)
        share = MASK_SHARE if sampled or trees else 0.0
        sampling = SamplingSettings(points=sizes.points, mask_share=share, mask_channels=sampled, tree_folders=trees)
        settings = ImPulSeSettings(
            grid=sizes.grid,
            region=sizes.region,
            sampling=sampling,
            augmentation=AugmentationSettings(fixed_channels=masks),
        )
        network = sizes.network
        if self.preset == "paper":
            settings, network = _paper(settings, sizes, properties)
        return settings, network, sizes

    def _configuration(self, survey: Mapping[str, CaseSurvey]) -> dict[str, Any]:
        reading = reading_of(survey, self.determine_reader_writer())
        cases = [case.cropped(reading.crop_margins_mm) for case in survey.values()]
        properties = self._properties(cases)
        settings, network, sizes = self._choose(properties)
        settings = replace(self._with_learned(settings, survey), reading=reading)
        schemes, use_mask = self.determine_normalization_scheme_and_whether_mask_is_used_for_norm()
        shapes = [case.image_extent_mm / case.spacing_mm for case in cases]
        configuration = {
            "data_identifier": self.generate_data_identifier(CONFIGURATION),
            "preprocessor_name": self.preprocessor_name,
            "batch_size": BATCH_SIZES[0] if self.preset == "paper" else sizes.batch_size,
            "patch_size": [],
            "median_image_size_in_voxels": [round(n) for n in _median(shapes)],
            "spacing": _median([case.spacing_mm for case in cases]),
            "normalization_schemes": schemes,
            "use_mask_for_norm": use_mask,
            **{f"resampling_fn_{what}": "no_resampling_hack" for what in ("data", "seg", "probabilities")},
            **{f"resampling_fn_{what}_kwargs": {} for what in ("data", "seg", "probabilities")},
            "batch_dice": True,
            "architecture": {
                "network_class_name": NETWORK_CLASS,
                "arch_kwargs": to_json(network),
                "_kw_requires_import": [],
            },
            PLAN_KEY: to_json(settings),
            "estimates": {"extent_mm": [round(e, 1) for e in sizes.extent_mm]},
        }
        with_overrides(configuration, self.overrides)
        network = network_settings_from_configuration(configuration)
        settings = settings_from_configuration(configuration)
        if self.preset == "auto" and settings.region.mode == "two_pass" and SEARCH_GRID not in self.overrides:
            found = search_grid(settings.grid.input_grid, network.strides, properties)
            configuration[PLAN_KEY]["region"]["search_grid"] = found
        grid, batch = settings.grid.input_grid, configuration["batch_size"]
        memory = estimate_memory_gb(grid, network, batch, settings.sampling.points, properties)
        configuration["estimates"]["memory_gb"] = round(memory, 2)
        configuration["patch_size"] = list(grid)
        return configuration

    def _with_learned(self, settings: ImPulSeSettings, survey: Mapping[str, CaseSurvey]) -> ImPulSeSettings:
        """The settings with what prediction compares cases with."""
        pose = learn_pose(poses_of(survey))
        return replace(
            settings,
            laterality=LateralitySettings(learn(asymmetries_of(survey)), pose.pattern, pose.axes),
            plausibility=plausibility.learn(list(facts_of(survey).values()), foreground_labels(self.dataset_json)),
        )

    def _channel_names(self) -> list[str]:
        return channel_names(self.dataset_json)


def check_override_names(overrides: Mapping[str, Any]) -> None:
    """Refuse dotted names that no plans have, before any case is read."""
    smallest = ImPulSeSettings(grid=GridSettings((1, 1, 1), (1, 1, 1)))
    architecture = {"network_class_name": NETWORK_CLASS, "arch_kwargs": to_json(NetworkSettings())}
    with_overrides({"batch_size": 1, "architecture": architecture, PLAN_KEY: to_json(smallest)}, overrides)


def _paper(
    settings: ImPulSeSettings, sizes: PlannedSizes, properties: DatasetProperties
) -> tuple[ImPulSeSettings, NetworkSettings]:
    """The paper's sizes (FACTS of section 4 and of the release), whatever the data and the GPU."""
    grid = PAPER.template_grid
    image_mm = np.median(properties.image_extents_mm, axis=0)
    working = working_grid(grid, image_mm, np.asarray(sizes.extent_mm))
    content = to_json(settings) | {"grid": to_json(GridSettings(grid, working))}
    content["sampling"]["points"] = POINTS
    content["template"]["mode"] = "learned"
    return from_json(ImPulSeSettings, content, PLAN_KEY), PAPER


def _summary(configuration: Mapping[str, Any]) -> str:
    settings, estimates = configuration[PLAN_KEY], configuration["estimates"]
    grid = " x ".join(str(n) for n in settings["grid"]["input_grid"])
    extent = " x ".join(f"{e:.0f}" for e in estimates["extent_mm"])
    widths = ", ".join(str(n) for n in configuration["architecture"]["arch_kwargs"]["features_per_stage"])
    steps = settings["training"]["epochs"] * settings["training"]["iterations"]
    return (
        f"{CONFIGURATION}: input grid {grid} over {extent} mm, region of interest: {settings['region']['mode']}, "
        f"encoder widths {widths}, batch {configuration['batch_size']}, {steps} steps, "
        f"about {estimates['memory_gb']:.1f} GB of GPU memory"
    )


def _median(rows: list[np.ndarray]) -> list[float]:
    return [float(v) for v in np.median(np.stack(rows), axis=0)]

"""nnU-Net's preprocessing, stored the way implicit training reads it: working volume and native segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgenerators.utilities.file_and_folder_operations import load_json
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from impulse_nnunet import __version__
from impulse_nnunet.geometry.working_volume import to_working_volume
from impulse_nnunet.io.assumption import assuming_orientation
from impulse_nnunet.io.dataset_json import channel_names, read_dataset_json
from impulse_nnunet.io.files import check_unchanged, stamps_of
from impulse_nnunet.io.images import RawCase, read_case, read_masks
from impulse_nnunet.io.nnunet import Reader
from impulse_nnunet.preprocessing.cropping import MarginPreprocessor
from impulse_nnunet.preprocessing.framing import frame_of
from impulse_nnunet.preprocessing.progress import FolderInProgress
from impulse_nnunet.preprocessing.survey import allowed_labels, for_all_cases, ignore_label, mask_channels
from impulse_nnunet.settings import ReadingSettings, settings_from_configuration
from impulse_nnunet.training.case_facts import FACTS_KEY, case_facts

TREES_PROPERTY = "impulse_trees"


class ImPulSePreprocessor(MarginPreprocessor):
    """Crops and normalises as nnU-Net does, then stores a working volume and the segmentation at native resolution."""

    @staticmethod
    def _sample_foreground_locations(*args: Any, **kwargs: Any) -> dict[Any, Any]:
        """Nothing: points are sampled uniformly or inside masks, so nnU-Net's lists are unused."""
        return {}

    def run_case_npy(
        self,
        data: np.ndarray,
        seg: np.ndarray | None,
        properties: dict,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        dataset_json: dict | str,
    ) -> tuple[np.ndarray, np.ndarray, dict]:
        """Overrides nnU-Net's: without resampling; the image comes back as float16 working volume.

        A (d, h, w) bool array under :data:`TREES_PROPERTY` in ``properties`` marks further voxels to sample, on the
        grid of ``data``; it is taken out.
        """
        trees = properties.pop(TREES_PROPERTY, None)
        content = load_json(dataset_json) if isinstance(dataset_json, str) else dataset_json
        native, segmentation, properties = super().run_case_npy(
            data, seg, properties, plans_manager, configuration_manager, content
        )
        settings = settings_from_configuration(configuration_manager.configuration)
        masks = settings.sampling.mask_channels
        if trees is not None:
            box = tuple(slice(*ends) for ends in properties["bbox_used_for_cropping"])
            trees = trees.transpose(plans_manager.transpose_forward)[box]
        properties[FACTS_KEY] = case_facts(native, segmentation, masks, ignore_label(content), trees)
        working = to_working_volume(torch.from_numpy(native), settings.grid.working_grid)
        return working.numpy(), segmentation, properties

    def run(
        self, dataset_name_or_id: int | str, configuration_name: str, plans_identifier: str, num_processes: int
    ) -> None:
        """Preprocess all training cases; the folder appears under its name only when it is complete.

        Cases that an interrupted call finished with the same plans from the same files are kept.
        """
        name = maybe_convert_to_dataset_name(dataset_name_or_id)
        base = Path(nnUNet_preprocessed, name)
        plans_manager = PlansManager(str(base / f"{plans_identifier}.json"))
        configuration = plans_manager.get_configuration(configuration_name)
        dataset_json = read_dataset_json(base / "dataset.json")
        raw_folder = Path(nnUNet_raw, name)
        dataset = get_filenames_of_train_images_and_targets(str(raw_folder), dataset_json)
        settings = settings_from_configuration(configuration.configuration)
        tree_folders = settings.sampling.tree_folders
        decisive = {"plans": plans_manager.plans, "configuration": configuration_name, "dataset": dataset_json}
        progress = FolderInProgress(base / configuration.data_identifier, decisive | {"version": __version__})

        def one(case: str) -> None:
            entry, reader = dataset[case], plans_manager.image_reader_writer_class()
            trees = [str(raw_folder / name / f"{case}{dataset_json['file_ending']}") for name in tree_folders]
            files = [Path(file) for file in (*entry["images"], entry["label"], *trees)]
            if progress.has(case, files):
                return
            stamps = stamps_of(files)
            progress.begin(case, files)
            raw = _read_framed(reader, case, entry, trees, dataset_json, settings.reading)
            check_unchanged(stamps, case)
            volume, segmentation, properties = self.run_case_npy(
                raw.images, raw.segmentation, raw.properties, plans_manager, configuration, dataset_json
            )
            progress.save(case, volume, segmentation, properties)

        with assuming_orientation(settings.reading.assume_orientation):  # as planning was let
            for_all_cases(one, list(dataset), num_processes, "Preprocessing cases", self.show_progress_bar)
        progress.finish()


def _read_framed(
    reader: Reader,
    case: str,
    entry: Mapping[str, Any],
    trees: Sequence[str],
    dataset_json: Mapping[str, Any],
    reading: ReadingSettings,
) -> RawCase:
    """Read a training case, oblique ones in their frame; the voxels of trees lie in the properties."""
    channels, labels = len(channel_names(dataset_json)), allowed_labels(dataset_json)
    raw = read_case(reader, case, entry["images"], channels, entry["label"], labels, ignore_label(dataset_json))
    joined = read_masks(reader, trees, raw) if trees else None
    frame = None if reading.crop_margins_mm else frame_of(raw, mask_channels(dataset_json), reading.margins)
    if frame is not None:
        raw, joined = frame.case(raw), None if joined is None else frame.cut(joined, False)
    if joined is not None:
        raw.properties[TREES_PROPERTY] = joined
    return raw

"""The validation after training: preprocessed cases decoded at native resolution, scored in nnU-Net's schema."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.configuration import default_num_processes
from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetBaseDataset
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from impulse_nnunet.inference.cases import decode_case, write_case
from impulse_nnunet.inference.encoding import Ensemble, encode_working_volume
from impulse_nnunet.inference.writers import Writers
from impulse_nnunet.preprocessing.working_volume import stored_working_volume
from impulse_nnunet.settings import ImPulSeSettings


def predict_preprocessed(
    ensemble: Ensemble,
    dataset: nnUNetBaseDataset,
    settings: ImPulSeSettings,
    plans_manager: PlansManager,
    file_ending: str,
    folder: Path,
    save_probabilities: bool,
    log: Callable[[str], None],
) -> None:
    """Predict the cases of a preprocessed data set (ours, or stock nnU-Net's native one) into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with Writers(2) as writers:
        pending = []
        for case in dataset.identifiers:
            log(f"predicting {case}")
            data, segmentation, _, properties = dataset.load_case(case)
            image = torch.from_numpy(np.asarray(data[:]))
            volume = stored_working_volume(image, segmentation.shape[1:], settings.grid.working_grid, case)
            encoded = encode_working_volume(ensemble, volume, settings, case)
            prediction = decode_case(
                encoded, properties, plans_manager, settings.inference.block_points, save_probabilities
            )
            target = str(folder / case)
            pending.append(
                writers.submit(partial(write_case, prediction, properties, plans_manager, file_ending, target))
            )
        for result in pending:
            result.result()


def summarise(
    folder: Path, reference: Path, plans_manager: PlansManager, dataset_json: dict[str, Any]
) -> dict[str, Any]:
    """Score a folder with nnU-Net's metrics and write ``summary.json`` there."""
    manager = plans_manager.get_label_manager(dataset_json)
    return compute_metrics_on_folder(
        str(reference), str(folder), str(folder / "summary.json"), plans_manager.image_reader_writer_class(),
        dataset_json["file_ending"], manager.foreground_labels, manager.ignore_label,
        num_processes=default_num_processes, chill=True,
    )  # fmt: skip

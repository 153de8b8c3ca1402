"""The validation after training: preprocessed cases decoded at native resolution, scored in nnU-Net's schema."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Collection
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from nnunetv2.configuration import default_num_processes
from nnunetv2.evaluation.evaluate_predictions import compute_metrics, save_summary_json
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetBaseDataset
from nnunetv2.utilities.json_export import recursive_fix_for_json_export
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.statistics import finite_mean
from impulse_nnunet.geometry.working_volume import stored_working_volume
from impulse_nnunet.inference.encoding import encode_working_volume
from impulse_nnunet.inference.ensemble import Ensemble
from impulse_nnunet.inference.volume import predict_volume
from impulse_nnunet.inference.writers import Writers
from impulse_nnunet.io.files import whole_file
from impulse_nnunet.io.listing import is_hidden
from impulse_nnunet.jobs.process_guard import end_with_parent
from impulse_nnunet.nnunet.cases import decode_case, write_case
from impulse_nnunet.settings import ImPulSeSettings

R = TypeVar("R")


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
            decode = partial(
                decode_case,
                properties=properties,
                plans_manager=plans_manager,
                with_probabilities=save_probabilities,
            )
            prediction = predict_volume(ensemble, volume, settings, decode, case, encode_working_volume)
            target = str(folder / case)
            pending.append(
                writers.submit(partial(write_case, prediction, properties, plans_manager, file_ending, target))
            )
        for result in pending:
            result.result()


def remove_stale(folder: Path, cases: Collection[str], file_ending: str) -> list[str]:
    """Remove what validations of other splits left: nnU-Net's later steps take all files of the folder for this fold's.

    Args:
        folder: Of the validation.
        cases: That the fold validates.
        file_ending: Of the label maps.

    Returns:
        The cases that were removed.
    """
    removed = set()
    for ending in (file_ending, ".npz", ".pkl"):
        for path in sorted(folder.glob(f"*{ending}")):
            case = path.name[: -len(ending)]
            if path.is_file() and not is_hidden(path.name) and case not in cases:
                path.unlink()
                removed.add(case)
    return sorted(removed)


def summarise(
    folder: Path, reference: Path, cases: Collection[str], plans_manager: PlansManager, dataset_json: dict[str, Any]
) -> dict[str, Any]:
    """Score a fold's validation with nnU-Net's metrics and write ``summary.json`` there, in nnU-Net's schema.

    Args:
        folder: Of the predictions.
        reference: Folder of the references.
        cases: That the fold validates: these are scored, whatever else lies in the folder.
        plans_manager: nnU-Net's.
        dataset_json: Of the data set.

    Raises:
        InputError: A worker was lost; nnU-Net's own pool would wait for it for ever.
    """
    manager = plans_manager.get_label_manager(dataset_json)
    names = [f"{case}{dataset_json['file_ending']}" for case in sorted(cases)]
    measure = partial(
        _measure,
        reference,
        folder,
        plans_manager.image_reader_writer_class(),
        manager.foreground_labels,
        manager.ignore_label,
    )
    scored = _on_processes(measure, names, default_num_processes, str(folder))
    labels = {label: _means(scored, label) for label in manager.foreground_labels}
    metrics = next(iter(labels.values()))
    foreground = {name: float(np.mean([values[name] for values in labels.values()])) for name in metrics}
    result: dict[str, Any] = {"metric_per_case": scored, "mean": labels, "foreground_mean": foreground}
    for part in (*scored, labels, foreground):
        recursive_fix_for_json_export(part)
    with whole_file(folder / "summary.json") as path:
        save_summary_json(result, str(path))
    return result


def _measure(
    reference: Path, folder: Path, reader: BaseReaderWriter, labels: list[int], ignore: int | None, name: str
) -> dict[str, Any]:
    return dict(compute_metrics(str(reference / name), str(folder / name), reader, labels, ignore))


def _means(cases: list[dict[str, Any]], label: int) -> dict[str, float]:
    values = [case["metrics"][label] for case in cases]
    return {name: finite_mean([value[name] for value in values]) for name in values[0]}


def _on_processes(function: Callable[[str], R], items: list[str], processes: int, subject: str) -> list[R]:
    processes = min(processes, len(items))
    if processes <= 1:
        return [function(item) for item in items]
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(processes, context, end_with_parent, (os.getpid(),)) as pool:
            return list(pool.map(function, items))
    except BrokenProcessPool as error:
        raise InputError(
            subject,
            "that a worker was killed, perhaps for lack of memory",
            "metrics of every case",
            "set nnUNet_def_n_proc to fewer processes and call again with `only_run_validation`",
        ) from error

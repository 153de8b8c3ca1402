"""Plan and preprocess a data set: what the command line and Python users call."""

from __future__ import annotations

import importlib
import json
import logging
import os
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from batchgenerators.utilities.file_and_folder_operations import load_json
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprint_dataset
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.utilities.dataset_name_id_conversion import convert_dataset_name_to_id, maybe_convert_to_dataset_name
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dataset_json import channel_names, check_channel_order, read_dataset_json, sampled_channels
from impulse_nnunet.io.files import copy_whole
from impulse_nnunet.io.label_maps import holds_integers, read_label_map, write_label_map
from impulse_nnunet.io.listing import is_hidden
from impulse_nnunet.io.nnunet import list_without_processes, reader_for
from impulse_nnunet.io.not_read import not_read
from impulse_nnunet.laterality.judgement import training_warnings
from impulse_nnunet.nnunet.training_cases import compare_training_cases
from impulse_nnunet.planners.impulse_planner import ImPulSePlanner, check_override_names
from impulse_nnunet.preprocessing.fingerprint import FINGERPRINT, ReadAlikeFingerprintExtractor
from impulse_nnunet.preprocessing.preprocessor import ImPulSePreprocessor
from impulse_nnunet.preprocessing.survey import (
    CaseSurvey,
    allowed_labels,
    asymmetries_of,
    mask_channels,
    survey_dataset,
)
from impulse_nnunet.preprocessing.workers import affordable_workers
from impulse_nnunet.runtime.environment import FOLDERS
from impulse_nnunet.runtime.output import suppress_output
from impulse_nnunet.settings import CONFIGURATION, PLANS

RAW_ENTRIES = ("labels", "numTraining", "file_ending", "channel_names")
T = TypeVar("T")
logger = logging.getLogger(__name__)

list_without_processes()


def plan_dataset(
    dataset: int | str,
    gpu_memory_target_gb: float = 8.0,
    plans_name: str = PLANS,
    preset: str = "auto",
    overrides: Mapping[str, Any] | None = None,
    workers: int = 4,
    clean_fingerprint: bool = False,
    progress_bar: bool = True,
    verbose: bool = False,
    planner: str = ImPulSePlanner.__name__,
    fingerprint_extractor: str = DatasetFingerprintExtractor.__name__,
) -> dict[str, Any]:
    """Check the cases, extract nnU-Net's fingerprint and write the plans.

    Args:
        dataset: ID or name.
        gpu_memory_target_gb: GPU memory that training may take.
        plans_name: Name of the plans file.
        preset: ``auto`` or ``paper``.
        overrides: Settings to change, by dotted names, e.g. ``{"impulse.training.epochs": 20}``.
        workers: Threads and processes; fewer where the free memory asks for it.
        clean_fingerprint: Extract the fingerprint even if there is one.
        progress_bar: Show them.
        verbose: nnU-Net's own output.
        planner: ``ImPulSePlanner``, or ``module.Class`` of a subclass.
        fingerprint_extractor: ``DatasetFingerprintExtractor``, nnU-Net's numbers with files read as in all other
            steps, or ``module.Class`` of a subclass.

    Returns:
        The plans.

    Raises:
        InputError: The data set as a whole is unfit.
        CasesFailedError: Cases are; nothing was written.
    """
    check_override_names(overrides or {})
    planner_class = find_class(planner, ImPulSePlanner, "planner")
    extractor_class = find_class(fingerprint_extractor, DatasetFingerprintExtractor, "fingerprint_extractor")
    if extractor_class is DatasetFingerprintExtractor:
        extractor_class = ReadAlikeFingerprintExtractor
    name = dataset_name(dataset)
    workers = _affordable(name, workers)
    survey = survey_raw_dataset(name, workers, progress_bar)
    clean = clean_fingerprint or not _is_whole(Path(nnUNet_preprocessed, name, FINGERPRINT))
    try:
        with suppress_output(verbose):
            extract_fingerprint_dataset(
                convert_dataset_name_to_id(name),
                extractor_class,
                num_processes=workers,
                clean=clean,
                verbose=verbose,
                show_progress_bar=progress_bar,
            )
    except RuntimeError as error:  # nnU-Net's word for a worker that was killed
        raise InputError(
            f"fingerprint of {name}",
            f"a lost worker ({' '.join(str(error).split())[:80]})",
            "memory for as many cases at a time",
            "try a smaller `workers`",
        ) from error
    return planner_class(
        name, gpu_memory_target_gb, plans_name=plans_name, preset=preset, overrides=overrides, survey=survey
    ).plan_experiment()


def preprocess_dataset(
    dataset: int | str,
    plans_name: str = PLANS,
    configuration: str = CONFIGURATION,
    workers: int = 4,
    progress_bar: bool = True,
    verbose: bool = False,
) -> Path:
    """Preprocess the training cases and copy the references, as nnU-Net does; returns the preprocessed folder.

    Args:
        dataset: ID or name.
        plans_name: Name of the plans file.
        configuration: Configuration of the plans.
        workers: Threads; fewer where the free memory asks for it.
        progress_bar: Show one.
        verbose: nnU-Net's own output.
    """
    name = dataset_name(dataset)
    base = Path(nnUNet_preprocessed, name)
    if not (base / f"{plans_name}.json").is_file():
        raise InputError(str(base), f"no {plans_name}.json", "plans", "run impulse_nnunet plan_and_preprocess first")
    known = load_json(str(base / f"{plans_name}.json"))["configurations"]
    if configuration not in known:
        raise InputError(
            f"`configuration` {configuration}", "no such configuration in the plans", ", ".join(known), "choose one"
        )
    preprocessor = ImPulSePreprocessor(verbose=verbose)
    preprocessor.show_progress_bar = progress_bar
    preprocessor.run(name, configuration, plans_name, _affordable(name, workers))
    raw = Path(nnUNet_raw, name)
    dataset_json = read_dataset_json(raw / "dataset.json")
    references = base / "gt_segmentations"
    references.mkdir(exist_ok=True)
    for case, files in get_filenames_of_train_images_and_targets(str(raw), dataset_json).items():
        _copy_reference(Path(files["label"]), references / (case + dataset_json["file_ending"]))
    return base


def _affordable(name: str, workers: int) -> int:
    """Workers for a raw data set; what is wrong with it is said where it is read."""
    raw = Path(nnUNet_raw, name)
    try:
        content = read_raw_dataset_json(raw)
    except InputError:
        return workers
    cases = get_filenames_of_train_images_and_targets(str(raw), content)
    return affordable_workers(workers, cases, len(channel_names(content)))


def _copy_reference(label: Path, target: Path) -> None:
    """The label map as it is; nnU-Net compares numbers, so one whose labels had to be rounded is written again."""
    if holds_integers(label):
        copy_whole(label, target)
    else:
        write_label_map(read_label_map(label).labels, label, target)


def _is_whole(fingerprint: Path) -> bool:
    """Whether there is a fingerprint that nnU-Net wrote to its end."""
    try:
        return isinstance(json.loads(fingerprint.read_text(encoding="utf-8")), dict)
    except (FileNotFoundError, ValueError):
        return False


def find_class(name: str, base: type[T], setting: str) -> type[T]:
    """The class ``base`` itself by its name, or a subclass of it as ``module.Class`` on Python's path.

    Raises:
        InputError: There is none.
    """
    if name == base.__name__:
        return base
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute) if module else None
    except (ImportError, AttributeError):
        found = None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise InputError(
            f"`{setting}` {name}",
            "no such class" if found is None else f"no subclass of {base.__name__}",
            f"{base.__name__}, or module.Class of a subclass",
            "check the name and PYTHONPATH",
        )
    return found


def survey_raw_dataset(name: str, workers: int, progress_bar: bool) -> dict[str, CaseSurvey]:
    """Check and measure all training cases of a raw data set; nothing is written."""
    raw = Path(nnUNet_raw, name)
    dataset_json = read_raw_dataset_json(raw)
    cases = get_filenames_of_train_images_and_targets(str(raw), dataset_json)
    if not cases:
        _refuse_no_case(raw / "imagesTr", dataset_json["file_ending"])
    _refuse_labels_without_images(raw, dataset_json, cases)
    for one in not_read(raw / "imagesTr", dataset_json["file_ending"]) if "dataset" not in dataset_json else []:
        logger.warning("%s: not read: %s", raw / "imagesTr", one)
    survey = survey_dataset(cases, reader_for(dataset_json), dataset_json, workers, progress_bar)
    gaps = {case: found.left_of_right_mm for case, found in survey.items() if found.left_of_right_mm is not None}
    for line in training_warnings(gaps, asymmetries_of(survey)):
        logger.warning("%s", line)
    compare_training_cases(survey, dataset_json)
    return survey


def _refuse_no_case(images: Path, ending: str) -> None:
    others = not_read(images, ending) if images.is_dir() else []
    found = f"no case, and {others[0]}" if others else "no case"
    remedy = "correct the files' names, or file_ending in dataset.json; see nnU-Net's dataset format"
    raise InputError(str(images), found, f"training images CASE_0000{ending}", remedy)


def _refuse_labels_without_images(raw: Path, dataset_json: Mapping[str, Any], cases: Container[str]) -> None:
    """nnU-Net goes by the images and would train without the case whose image is missing or has a wrong name."""
    if "dataset" in dataset_json or not (raw / "labelsTr").is_dir():
        return
    ending = dataset_json["file_ending"]
    labelled = [name for name in sorted(os.listdir(raw / "labelsTr")) if name.endswith(ending) and not is_hidden(name)]
    alone = [name for name in labelled if name.removesuffix(ending) not in cases]
    if alone:
        more = f" and {len(alone) - 1} more" if len(alone) > 1 else ""
        raise InputError(
            str(raw / "labelsTr" / alone[0]),
            f"a label map without images{more}",
            f"files imagesTr/{alone[0].removesuffix(ending)}_0000{ending}, ...",
            "correct the images' names, or take the label map away",
        )


def read_raw_dataset_json(raw: Path) -> dict[str, Any]:
    """Content of a raw data set's dataset.json: its required entries, and labels numbered without gaps.

    Raises:
        InputError: Naming what is missing or wrong.
    """
    path = raw / "dataset.json"
    content = read_dataset_json(path, RAW_ENTRIES, "see nnU-Net's dataset format")
    check_channel_order(content, path)
    ending = content["file_ending"]
    if not isinstance(ending, str) or not ending.startswith("."):
        raise InputError(str(path), f"file_ending {ending!r}", "an ending with its dot, e.g. '.nii.gz'", "correct it")
    sampled_channels(content, mask_channels(content))
    try:
        labels = allowed_labels(content)
    except (RuntimeError, AssertionError, TypeError, ValueError, AttributeError) as error:
        found = f"labels that nnU-Net refuses ({' '.join(str(error).split())[:120]})"
        raise InputError(str(path), found, 'e.g. {"background": 0, "a": 1}', "correct the entry") from error
    if labels != list(range(len(labels))):
        raise InputError(
            str(path),
            f"labels {labels}",
            f"{list(range(len(labels)))}, ignore last",
            "number the labels without gaps in dataset.json and in the label maps",
        )
    return content


def dataset_name(dataset: int | str, folders: Sequence[str] = FOLDERS) -> str:
    """The name of a data set from its ID or name; ``folders`` are the variables that must be set."""
    require_folders(folders)
    try:
        return str(maybe_convert_to_dataset_name(dataset))
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"dataset {dataset}",
            "no such data set",
            f"ID or name of a folder in {os.environ.get(folders[0])}",
            f"check the ID and {folders[0]}",
        ) from error


def require_folders(names: Sequence[str] = FOLDERS) -> None:
    """Refuse to work without nnU-Net's folders."""
    for name in names:
        if not os.environ.get(name):
            raise InputError(name, "no value", "a folder", 'run: eval "$(impulse_nnunet env)"')

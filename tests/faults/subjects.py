"""The commands that the harness disturbs, on the tiny data set."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from tests.faults.harness import Call, Subject, impulse, train
from tests.workplace import DATASET, TINY, Workplace

FAULT_PLANS = "ImPulSeFaultPlans"
TRAINING = ("990", "3d_impulse", "0", "-tr", "nnUNetTrainerImPulSe", "-p", FAULT_PLANS, "-device", "cpu")
FOLD = Path(DATASET, f"nnUNetTrainerImPulSe__{FAULT_PLANS}__3d_impulse", "fold_0")
LUNGS = "Dataset801_PhantomSegments"
BAV = "Dataset802_PhantomBAV"
BUILT = "Dataset803_PhantomSegments_LBAV"


def write_fault_plans(workplace: Workplace) -> None:
    """Plans with both stages: a learned template of few steps, then the network, with dropout."""
    plans = json.loads((workplace.preprocessed / "ImPulSePlans.json").read_text())
    configuration = plans["configurations"]["3d_impulse"]
    configuration["architecture"]["arch_kwargs"] |= {"template_grid": [8, 8, 8], "head_dropout": 0.3}
    configuration["impulse"]["template"] |= {"mode": "learned", "iterations": 3}
    configuration["impulse"]["training"] |= {"epochs": 6, "iterations": 4}
    plans["plans_name"] = FAULT_PLANS
    (workplace.preprocessed / f"{FAULT_PLANS}.json").write_text(json.dumps(plans))


def make_lungs(workplace: Workplace) -> None:
    """A tiny phantom cohort, from which inputs are built."""
    size = ("--size", "24", "32", "36", "--disable_progress_bar")
    workplace.run("impulse_nnunet", "phantom", "-d", "801", "-n", "4", "--test", "1", *size)


def all_subjects(workplace: Workplace) -> dict[str, Subject]:
    """By name: the commands of a whole study."""
    subjects = [preprocessing(workplace), training(workplace), prediction(workplace), evaluation(workplace)]
    return {subject.name: subject for subject in [*subjects, building(workplace), pipeline(workplace)]}


def preprocessing(workplace: Workplace) -> Subject:
    """``plan_and_preprocess`` of a data set that is neither planned nor preprocessed."""
    sets = [part for setting in TINY for part in ("--set", setting)]
    call = impulse("plan_and_preprocess", "-d", "990", "-npfp", "1", "-np", "2", "--no_pbar", *sets)

    def result(folder: Path) -> object:
        base = folder / DATASET
        jsons = {path.name: json.loads(path.read_text()) for path in sorted(base.glob("*.json"))}
        data = base / "ImPulSePlans_3d_impulse"
        stored = nnUNetDatasetBlosc2(str(data))
        loaded = {case: stored.load_case(case)[:2] for case in stored.identifiers}
        arrays = {case: [_digest(array[:]) for array in pair] for case, pair in loaded.items()}
        pickles = {path.name: _plain(pickle.loads(path.read_bytes())) for path in sorted(data.glob("*.pkl"))}
        return jsons, arrays, pickles, sorted(path.name for path in base.iterdir()), _images(base / "gt_segmentations")

    return Subject(
        "preprocessing",
        lambda folder, again: call,
        result,
        lambda folder: workplace.environment | {"nnUNet_preprocessed": str(folder)},
        _check_preprocessed,
    )


def training(workplace: Workplace) -> Subject:
    """``nnUNetv2_train`` in both stages, and the validation after it."""

    def result(folder: Path) -> object:
        content = torch.load(folder / FOLD / "checkpoint_final.pth", weights_only=False)
        weights = {name: _digest(weight.numpy()) for name, weight in content["network_weights"].items()}
        summary = json.loads((folder / FOLD / "validation" / "summary.json").read_text())
        losses = content["logging"]["train_losses"]
        return weights, [float(loss) for loss in losses], repr(summary["mean"]), _images(folder / FOLD / "validation")

    def stage(folder: Path, log: str) -> str:
        if not re.search(r"Epoch \d", log):
            return "template"
        return "validation" if "Training done" in log else "network"

    def check(folder: Path) -> None:
        for checkpoint in (folder / FOLD).glob("*.pth"):
            torch.load(checkpoint, weights_only=False)
        _check_images(folder)
        _check_jsons(folder / FOLD.parent, ("plans.json", "dataset.json", "dataset_fingerprint.json"))

    return Subject(
        "training",
        lambda folder, again: train(*TRAINING, *(["--c"] if again else [])),
        result,
        lambda folder: workplace.environment | {"nnUNet_results": str(folder)},
        check,
        stage=stage,
    )


def prediction(workplace: Workplace) -> Subject:
    """``predict`` with probabilities, displacement and labels of several cases."""
    flags = (
        "-f",
        "0",
        "-device",
        "cpu",
        "--save_probabilities",
        "--save_displacement",
        "--c",
        "--disable_progress_bar",
    )
    images = workplace.base / "many_images"
    if not images.is_dir():
        images.mkdir()
        for number in range(4):  # more cases, so that more moments fall between them
            for file in (workplace.raw / "imagesTs").iterdir():
                shutil.copy(file, images / f"{number}_{file.name}")

    def call(folder: Path, again: bool) -> Call:
        return impulse("predict", "-d", "990", "-i", images, "-o", folder, *flags)

    def result(folder: Path) -> object:
        probabilities = {path.name: _digest(np.load(path)["probabilities"]) for path in sorted(folder.glob("*.npz"))}
        return probabilities, _images(folder), sorted(str(path.relative_to(folder)) for path in _files(folder))

    return Subject("prediction", call, result, lambda folder: workplace.environment, _check_images)


def evaluation(workplace: Workplace) -> Subject:
    """``evaluate`` of a folder on two processes."""
    references = workplace.raw / "labelsTr"

    def prepare(folder: Path) -> None:
        (folder / "predictions").mkdir()
        for file in references.iterdir():
            image = nibabel.load(file)
            array = np.roll(np.asarray(image.dataobj), 1, 0)
            nibabel.save(nibabel.Nifti1Image(array, image.affine), folder / "predictions" / file.name)

    def call(folder: Path, again: bool) -> Call:
        flags = ("-np", "2", "--hd95", "--assd", "--disable_progress_bar", "-o", folder / "scores" / "summary.json")
        return impulse("evaluate", references, folder / "predictions", *flags)

    def result(folder: Path) -> object:
        text = (folder / "scores" / "summary.json").read_text() + (folder / "scores" / "metrics.csv").read_text()
        return text.replace(str(folder), ""), sorted(path.name for path in (folder / "scores").iterdir())

    return Subject(
        "evaluation",
        call,
        result,
        lambda folder: workplace.environment,
        lambda folder: _check_jsons(folder / "scores", ("summary.json",)),
        prepare,
    )


def building(workplace: Workplace) -> Subject:
    """``build_inputs`` of lobes, bronchi, arteries and veins from the ground truth."""
    kind = ("--inputs", "lbav", "--bav", "ground_truth", "--lobes", "ground_truth", "--disable_progress_bar")

    def prepare(folder: Path) -> None:
        shutil.copytree(workplace.base / "nnUNet_raw" / LUNGS, folder / LUNGS)

    def result(folder: Path) -> object:
        built = folder / BUILT
        record = (built / "inputs.json").read_text().replace(str(folder), "")
        names = sorted(str(path.relative_to(built)) for path in _files(built))
        return record, json.loads((built / "dataset.json").read_text()), names, _images(built)

    def environment(folder: Path) -> dict[str, str]:
        return workplace.environment | {"nnUNet_raw": str(folder), "nnUNet_preprocessed": str(folder / "preprocessed")}

    return Subject(
        "build_inputs",
        lambda folder, again: impulse("build_inputs", "-d", "803", "--ct", "801", *kind),
        result,
        environment,
        lambda folder: _check_images(folder / BUILT),
        prepare,
    )


def pipeline(workplace: Workplace) -> Subject:
    """``pipeline`` from CTs to scores: three trainings, two preprocessings, inputs, predictions, evaluation."""
    ours = ("--bav_tr", "nnUNetTrainerImPulSe", "--bav_pl", "ImPulSePlanner", "--bav_c", "3d_impulse")
    sets = [part for setting in TINY for flag in ("--set", "--bav_set") for part in (flag, setting)]
    call = impulse(
        "pipeline",
        "-d",
        "801",
        "--inputs",
        "ibav",
        "--folds",
        "0",
        "-device",
        "cpu",
        "-np",
        "1",
        "--no_report",
        *ours,
        *sets,
    )
    folders = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")

    def prepare(folder: Path) -> None:
        for name in (LUNGS, BAV):
            shutil.copytree(workplace.base / "nnUNet_raw" / name, folder / "nnUNet_raw" / name)
            cases = sorted(path.name.split(".")[0] for path in (folder / "nnUNet_raw" / name / "labelsTr").iterdir())
            halves = [{"train": cases[2:], "val": cases[:2]}, {"train": cases[:2], "val": cases[2:]}]
            (folder / "nnUNet_preprocessed" / name).mkdir(parents=True)
            (folder / "nnUNet_preprocessed" / name / "splits_final.json").write_text(json.dumps(halves))

    def result(folder: Path) -> object:
        weights = {}
        for checkpoint in sorted((folder / "nnUNet_results").rglob("checkpoint_final.pth")):
            content = torch.load(checkpoint, weights_only=False)["network_weights"]
            weights[str(checkpoint.relative_to(folder))] = {key: _digest(w.numpy()) for key, w in content.items()}
        (scores,) = (folder / "nnUNet_results").rglob("metrics.csv")
        return weights, scores.read_text().replace(str(folder), ""), [_images(folder / name) for name in folders]

    def check(folder: Path) -> None:
        _check_images(folder)
        for checkpoint in folder.rglob("checkpoint_*.pth"):
            torch.load(checkpoint, weights_only=False)

    def stage(folder: Path, log: str) -> str:
        titles = re.findall(r"^\[\d+/\d+\] (.*?): (?:to do|goes on|again)", log, re.MULTILINE)
        return titles[-1] if titles else "start"

    return Subject(
        "pipeline",
        lambda folder, again: call,
        result,
        lambda folder: workplace.environment | {name: str(folder / name) for name in folders},
        check,
        prepare,
        stage,
    )


def _files(folder: Path) -> list[Path]:
    """All files but those that a killed process left on their way: hidden, and gone after a day."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if not any(part.startswith(".incomplete_") for part in path.parts)]


def _images(folder: Path) -> dict[str, Any]:
    """Geometry and content of all images in a folder."""
    found = {}
    for path in (path for path in sorted(_files(folder)) if path.name.endswith(".nii.gz")):
        image = nibabel.load(path)
        found[str(path.relative_to(folder))] = (image.affine.tolist(), _digest(np.asanyarray(image.dataobj)))
    return found


def _check_images(folder: Path) -> None:
    """Every file under its own name is whole."""
    for path in _files(folder):
        if path.name.endswith(".gz"):
            gzip.decompress(path.read_bytes())
        elif path.suffix == ".npz":
            with np.load(path) as content:
                [content[name] for name in content.files]


def _check_preprocessed(folder: Path) -> None:
    _check_jsons(folder / DATASET, ("ImPulSePlans.json", "dataset.json"))
    data = folder / DATASET / "ImPulSePlans_3d_impulse"
    if data.exists():
        assert len(list(data.glob("*.pkl"))) == 8, "an incomplete folder under the name of a complete one"
        assert len(list(data.glob("*.b2nd"))) == 16, "an incomplete folder under the name of a complete one"


def _check_jsons(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        if (folder / name).exists():
            json.loads((folder / name).read_text())


def _digest(array: np.ndarray) -> tuple[Any, ...]:
    content = np.ascontiguousarray(array)
    return content.shape, str(content.dtype), hashlib.sha256(content.tobytes()).hexdigest()


def _plain(value: Any) -> Any:
    """Nested properties of a case as something that ``==`` compares."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return _digest(value) if isinstance(value, np.ndarray) else value

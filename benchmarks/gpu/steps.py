"""Training steps of real trainers on made-up preprocessed cases: seconds, memory, and how long the GPU waits."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from benchmarks import standin
from benchmarks.gpu.context import Context
from benchmarks.gpu.timing import busy_share, memory, timed

CASES = 6
PART_OF_RESULT = "part of the result: "
NAME = "Dataset{:03d}_MadeUp"


def write_cases(context: Context, number: int, plans: Mapping[str, Any], dataset: Mapping[str, Any]) -> str:
    """Copies of a preprocessed case of noise, labels in blocks, of the plans' sizes; returns the data set's name."""
    from impulse_nnunet.preprocessing.progress import save_case

    name = NAME.format(number)
    folder = context.work / "nnUNet_preprocessed" / name
    (configuration,) = plans["configurations"].values()
    cases = folder / f"{configuration['data_identifier']}"
    shutil.rmtree(folder, ignore_errors=True)
    cases.mkdir(parents=True)
    plans = {**plans, "dataset_name": name, "plans_name": "ImPulSePlans"}
    for file, content in (
        ("ImPulSePlans.json", plans),
        ("dataset.json", dataset),
        ("dataset_fingerprint.json", {}),
        ("splits_final.json", [{"train": [f"case_{i}" for i in range(CASES)], "val": ["case_0"]}]),
    ):
        (folder / file).write_text(json.dumps(content), encoding="utf-8")
    channels, classes = len(dataset["channel_names"]), len(dataset["labels"])
    rng = np.random.default_rng(0)
    shape = tuple(configuration["median_image_size_in_voxels"])
    working = np.minimum(configuration["impulse"]["grid"]["working_grid"], shape)  # never finer than the image
    coarse = torch.from_numpy(rng.normal(size=(1, channels, *(max(1, int(n) // 4) for n in working))))
    volume = torch.nn.functional.interpolate(coarse.float(), tuple(int(n) for n in working))[0].half().numpy()
    labels = blocks(shape, classes)
    facts = {
        "foreground_faces": np.array([[-0.8] * 3, [0.8] * 3]),
        "annotated_voxels": None,
        "mask_voxels": np.argwhere(labels[::4, ::4, ::4] > 0) * 4,
    }
    save_case(volume, labels[None], {"spacing": list(configuration["spacing"]), "impulse": facts}, cases / "case_0")
    for file in sorted(cases.glob("case_0*")):  # compressing a case of full size takes seconds
        for index in range(1, CASES):
            shutil.copyfile(file, file.with_name(file.name.replace("case_0", f"case_{index}", 1)))
    return name


def blocks(shape: tuple[int, int, int], classes: int) -> np.ndarray:
    """(d, h, w) int8: 0.8 of each axis filled with blocks of the foreground classes."""
    axes = [((np.arange(n) + 0.5) / n - 0.1) / 0.8 for n in shape]
    inside = [np.where((a >= 0) & (a < 1), (3 * a).astype(int), -1) for a in axes]
    d, h, w = np.meshgrid(*inside, indexing="ij", sparse=True)
    labels = (d * 9 + h * 3 + w) % (classes - 1) + 1
    return np.where((d < 0) | (h < 0) | (w < 0), 0, labels).astype(np.int8)


def make_trainer(name: str, trainer: str, device: torch.device, configuration: str = "3d_impulse") -> Any:
    """A trainer of a data set of :func:`write_cases`, ready for its first step."""
    from nnunetv2.run.run_training import get_trainer_from_args

    import impulse_nnunet.trainers  # noqa: F401  finds the class

    plans = "ImPulSePlans"
    made = get_trainer_from_args(name, configuration, 0, trainer, plans, device=device)
    made.disable_checkpointing = True
    made.on_train_start()
    made.on_epoch_start()
    made.on_train_epoch_start()
    return made


def step_figures(context: Context, trainer: Any, steps: int) -> dict[str, Any]:
    """Seconds a step with the trainer's own loader and with one batch again and again; memory; share of waiting."""
    if context.on_gpu:
        torch.cuda.reset_peak_memory_stats()

    def with_loader() -> None:
        for _ in range(steps):
            trainer.train_step(next(trainer.dataloader_train))

    with_loader()
    found: dict[str, Any] = {"seconds": timed(context, with_loader, runs=1, warm=1)["seconds"] / steps}
    found |= memory(context)
    batch = next(trainer.dataloader_train)

    def alone() -> None:
        for _ in range(steps):
            trainer.train_step(batch)

    found["seconds_without_loader"] = timed(context, alone, runs=1, warm=0)["seconds"] / steps
    found["with_loader"] = busy_share(context, with_loader)
    found["loss"] = float(trainer.train_step(batch)["loss"])
    return found


def closed(trainer: Any) -> None:
    """End a trainer's loaders."""
    for loader in (trainer.dataloader_train, trainer.dataloader_val):
        if hasattr(loader, "close"):
            loader.close()


def paper_case_set(context: Context, number: int, batch_size: int) -> str:
    """The paper's sizes with a CT and three masks."""
    sizes = context.sizes
    intensity = {"mean": 0.0, "std": 1.0}
    plans = standin.plans(4, sizes, intensity, batch_size)
    return write_cases(context, number, plans, standin.dataset_json(4, sizes))


def each(jobs: Mapping[str, Callable[[], dict[str, Any]]]) -> dict[str, Any]:
    """Results by name; one that fails is named by its error and stops no other."""
    found: dict[str, Any] = {}
    for name, job in jobs.items():
        try:
            found[name] = job()
        except Exception as error:  # noqa: BLE001  whatever it is, the others are to run
            found[name] = {"error": f"{type(error).__name__}: {error}"[:2000]}
        sys.stdout.write(f"\n{PART_OF_RESULT}{json.dumps({name: found[name]})}\n")  # kept if the time runs out
        sys.stdout.flush()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return found

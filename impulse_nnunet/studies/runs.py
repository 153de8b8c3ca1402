"""One run: a system trained with one seed, its predictions and their scores; each step is skipped once it is done."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from impulse_nnunet.evaluation.settings import MetricSettings
from impulse_nnunet.jobs.locks import locked
from impulse_nnunet.jobs.process import run_measured
from impulse_nnunet.jobs.record import Record, fingerprint, versions
from impulse_nnunet.studies.models import TrainedModel
from impulse_nnunet.studies.scoring import EvaluationCases, means_of, score
from impulse_nnunet.studies.systems import System
from impulse_nnunet.studies.variants import Variant

TRAIN = "nnunetv2.run.run_training:run_training_entry"
PREDICT = "nnunetv2.inference.predict_from_raw_data:predict_entry_point_modelfolder"
STAGES = "impulse_nnunet.studies.stages:main"
SUMMARY = "summary.json"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """What all runs on a data set share.

    Args:
        raw: Raw data set.
        test: Cases that are predicted and scored.
        fold: Of the cross-validation.
        device: Where to train and predict.
        processes: Cases at a time in evaluation.
        metrics: How to score.
    """

    raw: Path
    test: EvaluationCases
    fold: int | str
    device: str
    processes: int
    metrics: MetricSettings


@dataclass(frozen=True)
class Run:
    """One system with one seed.

    Args:
        system: Row of the table.
        seed: Of the training.
        place: Data set.
        variant: Configuration to train; None where the model is finished or nothing is trained.
        model_folder: TRAINER__PLANS__CONFIGURATION with the trained fold; for the template alone that of ImPulSe+.
        work: Folder for records, logs and scores.
    """

    system: System
    seed: int
    place: Place
    variant: Variant | None
    model_folder: Path
    work: Path

    @property
    def title(self) -> str:
        """As a progress line names it."""
        return f"{self.system.name}, seed {self.seed}"

    @property
    def fold_folder(self) -> Path:
        """Where nnU-Net puts the fold's results."""
        return self.model_folder / f"fold_{self.place.fold}"

    @property
    def predictions(self) -> Path:
        """Folder of the predicted label maps."""
        if self.system.trains and not self.place.test.has_images:
            return self.fold_folder / "validation"
        return self.work / "predictions"

    @property
    def summary(self) -> Path:
        """The scores."""
        return self.work / SUMMARY

    def training_inputs(self) -> dict[str, Any]:
        """What decides the weights; for a finished model, which one it is."""
        if self.variant is None:
            return {"model": str(self.model_folder.resolve()), "fold": self.place.fold}
        data = fingerprint([self.place.raw / "imagesTr", self.place.raw / "labelsTr"])
        return {
            "trainer": self.variant.trainer, "configuration": dict(self.variant.resolved), "fold": self.place.fold,
            "training_data": data, "versions": versions(),
        }  # fmt: skip

    def prediction_inputs(self) -> dict[str, Any]:
        """What decides the predictions, besides the weights."""
        checkpoint = self.fold_folder / "checkpoint_final.pth"
        time = checkpoint.stat().st_mtime_ns if checkpoint.is_file() else None
        return {"checkpoint": time, "images": fingerprint([self.place.test.images])}

    def evaluation_inputs(self) -> dict[str, Any]:
        """What decides the scores, besides the predictions."""
        test = self.place.test
        return {
            "metrics": asdict(self.place.metrics),
            "references": fingerprint([test.references]),
            "trees": {name: fingerprint([folder]) for name, folder in test.trees.items()},
        }

    def state(self) -> str:
        """What is left to do: one word for --dry_run."""
        record = Record(self.work)
        if self.system.trains and not self._is_trained(record):
            begun = record.was_begun("train", self.training_inputs())
            return "train (goes on)" if begun else "train"
        if not (record.is_done("predict", self.prediction_inputs())):
            return "predict"
        return "done" if self._is_scored(record) else "evaluate"

    def is_begun(self) -> bool:
        """Whether an earlier call trained here, whatever its settings."""
        return self.variant is not None and ("train" in Record(self.work).steps or self.fold_folder.is_dir())

    def _is_trained(self, record: Record) -> bool:
        if self.variant is None:
            return True
        final = (self.fold_folder / "checkpoint_final.pth").is_file()
        return final and record.is_done("train", self.training_inputs())

    def is_scored(self) -> bool:
        """Whether there are scores that still hold."""
        return self._is_scored(Record(self.work))

    def _is_scored(self, record: Record) -> bool:
        return self.summary.is_file() and record.is_done("evaluate", self.evaluation_inputs())

    def forget(self) -> None:
        """Begin anew: remove what an earlier call left."""
        if self.variant is not None:
            shutil.rmtree(self.fold_folder, ignore_errors=True)
        shutil.rmtree(self.work, ignore_errors=True)

    def do(self, say: Say) -> None:
        """Do what is left of the run.

        Raises:
            CommandError: A command failed.
            InputError: Another call is at work on this run, or cases cannot be scored.
        """
        with locked(self.work / "lock", wait=False) as lock:
            if self.state() == "done":
                say(f"{self.title}: done before")
            self._train(say, lock)
            self._predict(say, lock)
            self._evaluate(say)

    def _train(self, say: Say, lock: int) -> None:
        record, inputs = Record(self.work), self.training_inputs()
        if self.variant is None:
            if self.system.trains and not record.is_done("train", inputs):
                facts = TrainedModel(self.model_folder, self.place.fold).facts()
                record.begin("train", inputs)
                record.finish("train", facts)
            return
        if self._is_trained(record):
            return
        goes_on = record.was_begun("train", inputs)
        if not goes_on:
            differing = record.differing("train", inputs)
            if differing:
                say(f"{self.title}: trained anew, for the record has another {', '.join(differing[:3])}")
            shutil.rmtree(self.fold_folder, ignore_errors=True)
            self.work.mkdir(parents=True, exist_ok=True)
            record.begin("train", inputs)
        self.variant.write()
        arguments = [
            self.variant.dataset, self.variant.name, str(self.place.fold), "-tr", self.variant.trainer,
            "-p", self.variant.plans, "-device", self.place.device, *(["--c"] if goes_on else []),
        ]  # fmt: skip
        measured = run_measured(TRAIN, arguments, self.work, "train", lock)
        facts = TrainedModel(self.model_folder, self.place.fold).facts()
        record.finish("train", {**measured, **facts})
        say(f"{self.title}: trained in {facts['training_seconds'] / 60:.1f} min, {facts['steps']} steps")

    def _predict(self, say: Say, lock: int) -> None:
        record, inputs = Record(self.work), self.prediction_inputs()
        if record.is_done("predict", inputs):
            return
        if self.predictions.parent == self.work and not record.was_begun("predict", inputs):
            shutil.rmtree(self.predictions, ignore_errors=True)
        record.begin("predict", inputs)
        measured: dict[str, Any] = {}
        if self.predictions.parent == self.work:
            measured = self._predict_images(lock)
            say(f"{self.title}: {len(self.place.test.cases)} cases predicted in {measured['seconds']:.0f} s")
        record.finish("predict", {**measured, "cases": len(self.place.test.cases)})

    def _predict_images(self, lock: int) -> dict[str, Any]:
        arguments = [
            "-i", str(self.place.test.images), "-o", str(self.predictions), "-m", str(self.model_folder),
            "-f", str(self.place.fold), "-device", self.place.device,
        ]  # fmt: skip
        if self.system.trains:
            arguments += ["-npp", "1", "-nps", "1", "--continue_prediction", "--disable_progress_bar"]
            return run_measured(PREDICT, arguments, self.work, "predict", lock)
        cases = ["--cases", *self.place.test.cases]
        return run_measured(STAGES, ["--stage", "template", *arguments, *cases], self.work, "predict", lock)

    def _evaluate(self, say: Say) -> None:
        record, inputs = Record(self.work), self.evaluation_inputs()
        if not self._is_scored(record):
            record.begin("evaluate", inputs)
            place = self.place
            score(self.predictions, place.test, place.metrics, place.processes, self.summary)
            record.finish("evaluate", {"summary": self.summary.name})
            means = means_of(self.summary)
            say(f"{self.title}: " + ", ".join(f"{name} {value:.4g}" for name, value in means.items()))


def cost_of(record: Record) -> dict[str, Any]:
    """Parameters, seconds and memory from a run's record; None where unknown."""
    trained, predicted = record.result("train"), record.result("predict")
    cases, seconds = predicted.get("cases"), predicted.get("seconds")
    return {
        "parameters": trained.get("parameters"),
        "training_seconds": trained.get("training_seconds"),
        "steps": trained.get("steps"),
        "prediction_seconds": seconds / cases if seconds and cases else None,
        "training_memory_gb": trained.get("gpu_memory_gb") or trained.get("memory_gb"),
        "prediction_memory_gb": predicted.get("gpu_memory_gb") or predicted.get("memory_gb"),
    }

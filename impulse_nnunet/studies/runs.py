"""One run: a system trained with one seed, its predictions and their scores; each step is skipped once it is done."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from impulse_nnunet import __version__
from impulse_nnunet.evaluation.settings import MetricSettings
from impulse_nnunet.jobs.locks import locked
from impulse_nnunet.jobs.process import LONG_PATIENCE_S, run_command
from impulse_nnunet.jobs.record import BEGUN, CHANGED, DONE, Inputs, Record
from impulse_nnunet.studies.models import CHECKPOINT, TrainedModel
from impulse_nnunet.studies.rows import StudyRow
from impulse_nnunet.studies.scoring import EvaluationCases, means_of, score
from impulse_nnunet.studies.variants import Variant, with_defaults

TRAIN = "nnunetv2.run.run_training:run_training_entry"
PREDICT = "nnunetv2.inference.predict_from_raw_data:predict_entry_point_modelfolder"
PREDICT_STAGES = "impulse_nnunet.studies.stages:main"
SUMMARY = "summary.json"
PARTS = ("train", "predict", "evaluate")
OLD_RECORD = "run.json"  # of 0.1.0 in development

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Place:
    """What all runs on a data set share.

    Args:
        raw: Raw data set.
        test: Cases that are predicted and scored.
        fold: Fold of the cross-validation.
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


@dataclass(frozen=True, kw_only=True)
class Run:
    """One system with one seed.

    Args:
        row: Row of the table.
        seed: Seed of the training.
        place: Data set.
        variant: Configuration to train; None where the model is finished or nothing is trained.
        model_folder: TRAINER__PLANS__CONFIGURATION with the trained fold; for the template alone that of ImPulSe+.
        work: Folder for records, logs and scores.
    """

    row: StudyRow
    seed: int
    place: Place
    variant: Variant | None
    model_folder: Path
    work: Path

    @property
    def title(self) -> str:
        """Name of the run in a progress line."""
        return f"{self.row.name}, seed {self.seed}"

    @property
    def fold_folder(self) -> Path:
        """Where nnU-Net puts the fold's results."""
        return self.model_folder / f"fold_{self.place.fold}"

    @property
    def predictions(self) -> Path:
        """Folder of the predicted label maps."""
        if self.row.trains and not self.place.test.has_images:
            return self.fold_folder / "validation"
        return self.work / "predictions"

    @property
    def summary(self) -> Path:
        """The scores."""
        return self.work / SUMMARY

    def record(self, part: str) -> Record:
        """The record of one of :data:`PARTS`."""
        return Record(self.work / f"record_{part}.json", with_defaults)

    def training_inputs(self) -> Inputs:
        """What decides the weights; for a finished model, which one it is."""
        if self.variant is None:
            return Inputs({"fold": self.place.fold}, {"checkpoint": self._checkpoint})
        settings = {
            "trainer": self.variant.trainer,
            "configuration": dict(self.variant.resolved),
            "fold": self.place.fold,
            "versions": _versions(),
        }
        return Inputs(settings, {name: self.place.raw / name for name in ("imagesTr", "labelsTr")})

    def prediction_inputs(self) -> Inputs:
        """What decides the predictions."""
        return Inputs(sources={"checkpoint": self._checkpoint, "images": self.place.test.images})

    def evaluation_inputs(self) -> Inputs:
        """What decides the scores."""
        test = self.place.test
        sources = {"references": test.references, "predictions": self.predictions, **test.trees}
        return Inputs({"metrics": asdict(self.place.metrics)}, sources)

    def state(self) -> str:
        """What is left to do: one word for --dry_run."""
        if self.row.trains and not self._is_trained():
            return "train (goes on)" if self._state("train") == BEGUN else "train"
        if self._state("predict") != DONE:
            return "predict"
        return "done" if self.is_scored() else "evaluate"

    def foreign_result(self) -> Path | None:
        """A training that lies where this run's would go, and that no record says to be a run's."""
        known = self.record("train").read() or (self.work / OLD_RECORD).is_file()
        return None if known or self.variant is None or not self.fold_folder.is_dir() else self.fold_folder

    def is_scored(self) -> bool:
        """Whether there are scores that still hold."""
        return self._state("evaluate") == DONE

    def start_over(self) -> None:
        """Set aside what an earlier call left."""
        made = [*([self.fold_folder] if self.variant is not None else []), self.summary]
        made += [self.predictions] if self.predictions.parent == self.work else []
        self.record("train").set_aside(made, "run")
        for part in PARTS:
            self.record(part).forget()

    @property
    def _checkpoint(self) -> Path:
        return self.fold_folder / CHECKPOINT

    def _state(self, part: str) -> str:
        inputs, products = {
            "train": (self.training_inputs, [self._checkpoint]),
            "predict": (self.prediction_inputs, [self.predictions]),
            "evaluate": (self.evaluation_inputs, [self.summary]),
        }[part]
        return self.record(part).status(inputs(), products).state

    def _is_trained(self) -> bool:
        return self.variant is None or self._state("train") == DONE

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
        record, inputs = self.record("train"), self.training_inputs()
        status = record.status(inputs, [self._checkpoint])
        if status.state == DONE or not self.row.trains:
            return
        measured: dict[str, Any] = {}
        if self.variant is not None:
            if status.state != BEGUN:
                place = record.set_aside([self.fold_folder], "training")
                if status.state == CHANGED and place is not None:
                    say(f"{self.title}: trained again, since this changed: {status.reason}; the earlier is in {place}")
            record.begin(inputs)
            measured = self._run_training(self.variant, status.state == BEGUN, lock)
        else:
            record.begin(inputs)
        facts = TrainedModel(self.model_folder, self.place.fold).facts()
        record.finish({**measured, **facts})
        if self.variant is not None:
            say(f"{self.title}: trained in {facts['training_seconds'] / 60:.1f} min, {facts['steps']} steps")

    def _run_training(self, variant: Variant, resume: bool, lock: int) -> dict[str, Any]:
        variant.write()
        arguments = [
            variant.dataset,
            variant.name,
            str(self.place.fold),
            "-tr",
            variant.trainer,
            "-p",
            variant.plans,
            "-device",
            self.place.device,
            *(["--c"] if resume else []),
        ]
        return self._run_command("train", TRAIN, arguments, lock, LONG_PATIENCE_S)

    def _predict(self, say: Say, lock: int) -> None:
        record, inputs = self.record("predict"), self.prediction_inputs()
        state = record.status(inputs, [self.predictions]).state
        if state == DONE:
            return
        own = self.predictions.parent == self.work
        if own and state != BEGUN:
            shutil.rmtree(self.predictions, ignore_errors=True)
        record.begin(inputs)
        measured: dict[str, Any] = {}
        if own:
            measured = self._predict_images(lock)
            say(f"{self.title}: {len(self.place.test.cases)} cases predicted in {measured['seconds']:.0f} s")
        record.finish({**measured, "cases": len(self.place.test.cases)})

    def _predict_images(self, lock: int) -> dict[str, Any]:
        arguments = [
            "-i",
            str(self.place.test.images),
            "-o",
            str(self.predictions),
            "-m",
            str(self.model_folder),
            "-f",
            str(self.place.fold),
            "-device",
            self.place.device,
        ]
        if self.row.trains:
            arguments += ["-npp", "1", "-nps", "1", "--continue_prediction", "--disable_progress_bar"]
            return self._run_command("predict", PREDICT, arguments, lock)
        cases = ["--cases", *self.place.test.cases]
        return self._run_command("predict", PREDICT_STAGES, ["--stage", "template", *arguments, *cases], lock)

    def _run_command(
        self, name: str, command: str, arguments: list[str], lock: int, patience_s: float = 0.0
    ) -> dict[str, Any]:
        log = self.work / f"{name}.log"
        return run_command([command, *arguments], log, name=name, patience_s=patience_s, lock=lock)

    def _evaluate(self, say: Say) -> None:
        if self.is_scored():
            return
        record, place = self.record("evaluate"), self.place
        record.begin(self.evaluation_inputs())
        score(self.predictions, place.test, place.metrics, place.processes, self.summary)
        record.finish({"summary": self.summary.name})
        means = means_of(self.summary)
        say(f"{self.title}: " + ", ".join(f"{name} {value:.4g}" for name, value in means.items()))

    def cost(self) -> dict[str, Any]:
        """Parameters, seconds and memory from the records; None where unknown."""
        trained, predicted = self.record("train").result(), self.record("predict").result()
        cases, seconds = predicted.get("cases"), predicted.get("seconds")
        return {
            "parameters": trained.get("parameters"),
            "training_seconds": trained.get("training_seconds"),
            "steps": trained.get("steps"),
            "prediction_seconds": seconds / cases if seconds and cases else None,
            "training_memory_gb": trained.get("gpu_memory_gb") or trained.get("memory_gb"),
            "prediction_memory_gb": predicted.get("gpu_memory_gb") or predicted.get("memory_gb"),
        }


def _versions() -> dict[str, str]:
    """Versions of everything that decides the numbers."""
    packages = {name: version(name) for name in ("nnunetv2", "torch", "numpy")}
    return {"impulse_nnunet": __version__, **packages, "python": platform.python_version()}

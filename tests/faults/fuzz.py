"""Commands, in this process, on folders of files that :mod:`tests.faults.mutations` made; and what must hold then."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json

from impulse_nnunet.cli.main import main
from tests.faults.mutations import LABELS, Recipe, recipes, write
from tests.faults.oracle import disagreement, expected_place

NUMBER = 77
DATASET = f"Dataset{NUMBER:03d}_Fuzzed"
LOBES = ["background", "RUL", "RML", "RLL", "LUL", "LLL"]
DATASET_JSON = {
    "channel_names": {"0": "CT"},
    "labels": {name: number for number, name in enumerate(LOBES)},
    "numTraining": 1,
    "file_ending": ".nii.gz",
}


class InProcessExtractor(DatasetFingerprintExtractor):
    """nnU-Net's fingerprint without its pool of processes, whose start takes longer than all the rest."""

    def run(self, overwrite_existing: bool = False) -> dict:
        """Overrides the parent's."""
        reader = determine_reader_writer_from_dataset_json(self.dataset_json, None, verbose=False)
        rows = [self.analyze_case(entry["images"], entry["label"], reader, 100) for entry in self.dataset.values()]
        values = np.concatenate([row[2][0] for row in rows])
        names = {"mean": np.mean, "median": np.median, "std": np.std, "min": np.min, "max": np.max}
        statistics = {name: float(function(values)) for name, function in names.items()}
        for name, percentile in (("percentile_99_5", 99.5), ("percentile_00_5", 0.5)):
            statistics[name] = float(np.percentile(values, percentile))
        fingerprint = {
            "spacings": [[float(v) for v in row[1]] for row in rows],
            "shapes_after_crop": [[int(v) for v in row[0]] for row in rows],
            "foreground_intensity_properties_per_channel": {"0": statistics},
            "median_relative_size_after_cropping": float(np.median([row[4] for row in rows])),
        }
        folder = Path(self.input_folder).parents[1] / "nnUNet_preprocessed" / self.dataset_name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dataset_fingerprint.json").write_text(json.dumps(fingerprint))
        return fingerprint


@dataclass
class Tally:
    """How cases ended.

    Args:
        ended: Command and how -> cases.
        kinds: Kind of message -> cases.
        wrong: What must not happen, with the recipes.
    """

    ended: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """Mutated cases tried."""
        return sum(number for end, number in self.ended.items() if not end.startswith("oracle"))


@dataclass(frozen=True)
class Ending:
    """How a call ended.

    Args:
        code: Exit code; None after an exception.
        errors: What it wrote to stderr.
    """

    code: int | None
    errors: str

    @property
    def messages(self) -> list[str]:
        """Lines that name a fault."""
        return [line.strip() for line in self.errors.splitlines() if "found " in line or "could not" in line]


def call(*arguments: object) -> Ending:
    """A call of ``impulse_nnunet`` in this process."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            code: int | None = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:  # noqa: BLE001  a traceback is what must not be
            return Ending(None, errors.getvalue() + traceback.format_exc())
    return Ending(code, errors.getvalue())


class Fuzzer:
    """Commands on mutated files.

    Args:
        folder: Scratch; emptied for each call.
        model: Folder of a trained model.
        tally: Filled by the calls.
    """

    def __init__(self, folder: Path, model: Path, tally: Tally) -> None:
        self.folder, self.model, self.tally = folder, model, tally

    def predict(self, recipes: Sequence[Recipe]) -> None:
        """``predict`` of a folder: each case has its labels on its own grid, or a message."""
        images, output = self._fresh("images"), self.folder / "output"
        written = [(write(recipe, images), recipe) for recipe in recipes]
        files = {file for file, _ in written}
        ending = call(
            "predict",
            "-m",
            self.model,
            "-i",
            images,
            "-o",
            output,
            "-device",
            "cpu",
            "-f",
            "0",
            "-npp",
            "1",
            "--disable_progress_bar",
        )
        self._check_ending("predict", ending, recipes)
        made = {path.name for path in output.glob("*.nii.gz")} if output.is_dir() else set()
        for file in files:
            case = re.fullmatch(r"(.+)_\d{4}\.nii\.gz", file.name)
            name = "" if case is None else f"{case[1]}.nii.gz"
            if name in made:
                self._count("predict", "accepted")
                self._expect(_same_grid(file, output / name), f"{file.name}: another grid in the output", recipes)
            else:
                named = case is not None and any(case[1] in line for line in ending.messages)
                self._count("predict", "refused" if named else "not a case's name")
                if case is not None:
                    self._expect(named, f"{file.name}: neither labels nor a message", recipes)
                else:
                    self._expect(file.name in ending.errors, f"{file.name}: left out without a word", recipes)
                    self._expect(ending.code == 2, f"{file.name}: left out, and exit code {ending.code}", recipes)
        self._check_places(written, output, made, recipes)
        self._check_prediction_file(output, made, recipes)
        self._check_no_halves(output, recipes)

    def _check_places(
        self, written: Sequence[tuple[Path, Recipe]], output: Path, made: set[str], recipes: Sequence[Recipe]
    ) -> None:
        """The oracle's word on each image that clashes with no other."""
        names = [recipe.name for recipe in recipes]
        for _, recipe in written:
            if names.count(recipe.name) > 1 or expected_place(recipe) is None:
                continue
            name = f"{recipe.name}.nii.gz"
            wrong = disagreement(recipe, output / name if name in made else None)
            self._count("oracle", "agrees" if not wrong else "disagrees", 1)
            self._expect(not wrong, wrong, recipes)

    def _check_prediction_file(self, output: Path, made: set[str], recipes: Sequence[Recipe]) -> None:
        """``prediction.json`` speaks of exactly the cases that have labels, and of those that failed."""
        file = output / "prediction.json"
        entries = json.loads(file.read_text())["cases"] if file.is_file() else {}
        sound = {entry["file"] for entry in entries.values() if entry["state"] != "failed"}
        self._expect(sound == made, f"prediction.json has {sorted(sound)}, there are {sorted(made)}", recipes)

    def evaluate(self, recipes: Sequence[Recipe]) -> None:
        """``evaluate``: mutated predictions against whole references, or the other way round."""
        good, mutated = self._fresh("good"), self.folder / "mutated"
        for recipe in recipes:
            write(replace(recipe, ending=recipe.ending.replace("_0000", "").replace("_0001", "")), mutated)
            write(Recipe(recipe.name, ".nii.gz", dtype="uint8", content="labels"), good)
        (good / "dataset.json").write_text(json.dumps(DATASET_JSON))
        folders = (good, mutated) if recipes[0].seed % 2 else (mutated, good)
        output = self.folder / "scores" / "summary.json"
        ending = call(
            "evaluate", *folders, "-djfile", good / "dataset.json", "-o", output, "-np", "1", "--disable_progress_bar"
        )
        self._check_ending("evaluate", ending, recipes)
        done = (
            {entry["case"] for entry in json.loads(output.read_text())["metric_per_case"]} if output.exists() else set()
        )
        for recipe in recipes:
            self._count("evaluate", "accepted" if recipe.name in done else "refused")
        self._check_no_halves(output.parent, recipes)

    def preprocess(self, pairs: Sequence[tuple[Recipe, Recipe]]) -> None:
        """``plan_and_preprocess`` of images and labels: everything, or nothing and a message."""
        raw = self._fresh("nnUNet_raw") / DATASET
        preprocessed = self.folder / "nnUNet_preprocessed" / DATASET
        for image, labels in pairs:
            write(image, raw / "imagesTr")
            write(replace(labels, name=image.name, ending=".nii.gz"), raw / "labelsTr")
        (raw / "dataset.json").write_text(json.dumps(DATASET_JSON))
        ending = call(
            "plan_and_preprocess",
            "-d",
            NUMBER,
            "-np",
            "1",
            "-npfp",
            "1",
            "--no_pbar",
            "-fpe",
            f"{__name__}.InProcessExtractor",
        )
        recipes = [recipe for pair in pairs for recipe in pair]
        self._check_ending("plan_and_preprocess", ending, recipes)
        stored = list((preprocessed / "ImPulSePlans_3d_impulse").glob("*.pkl"))
        if ending.code == 0:
            self._count("plan_and_preprocess", "accepted", len(pairs))
            cases = list((raw / "imagesTr").glob("*_0000.nii.gz"))
            self._expect(len(stored) == len(cases), "not all cases were preprocessed", recipes)
        else:
            self._count("plan_and_preprocess", "refused", len(pairs))
            self._expect(not stored, "a refused data set was preprocessed", recipes)
        self._check_no_halves(preprocessed, recipes)

    def _fresh(self, name: str) -> Path:
        for path in self.folder.iterdir():
            shutil.rmtree(path)
        (self.folder / name).mkdir()
        return self.folder / name

    def _check_ending(self, command: str, ending: Ending, recipes: Sequence[Recipe]) -> None:
        self._expect(ending.code in (0, 2), f"{command} ended with {ending.code}: {ending.errors[-1500:]}", recipes)
        self._expect("Traceback" not in ending.errors, f"{command}: a traceback: {ending.errors[-1500:]}", recipes)
        if ending.code == 2:
            self._expect(ending.errors.count("impulse_nnunet: ") == 1, f"{command}: {ending.errors}", recipes)
            for line in ending.messages:
                self.tally.kinds[kind_of(line)] += 1

    def _check_no_halves(self, folder: Path, recipes: Sequence[Recipe]) -> None:
        halves = [str(path) for path in folder.rglob("*incomplete_*")] if folder.is_dir() else []
        self._expect(not halves, f"half files: {halves}", recipes)

    def _count(self, command: str, how: str, number: int = 1) -> None:
        self.tally.ended[f"{command}: {how}"] += number

    def _expect(self, condition: bool, message: str, recipes: Sequence[Recipe]) -> None:
        if not condition:
            self.tally.wrong.append(f"{message}\n  {list(recipes)}")


def fuzz(fuzzer: Fuzzer, cases: int, seed: int | None) -> None:
    """Try at least so many mutated cases; without a seed always the same ones."""
    images, labels = recipes(Recipe()), recipes(Recipe(dtype="uint8", content="labels"), LABELS)
    several, pairs = (
        st.lists(images, min_size=1, max_size=6),
        st.lists(st.tuples(images, labels), min_size=1, max_size=2),
    )
    shares = (
        (fuzzer.predict, several, 2.7 * 2),
        (fuzzer.evaluate, st.lists(labels, min_size=1, max_size=6), 2.7 * 4),
        (fuzzer.preprocess, pairs, 1.5 * 4),
    )
    for command, strategy, cases_a_call in shares:
        run = settings(
            max_examples=max(1, round(cases / cases_a_call)),
            derandomize=seed is None,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )(given(strategy)(_with_names_apart(command)))
        (run if seed is None else hypothesis_seed(seed)(run))()


def _with_names_apart(command: Callable[[Any], None]) -> Callable[[Any], None]:
    return lambda drawn: command(_named_apart(drawn))


def _named_apart(drawn: Sequence[Any]) -> list[Any]:
    """Cases of one folder need names of their own, but for some that are meant to clash."""
    apart = []
    for number, item in enumerate(drawn):
        first = item[0] if isinstance(item, tuple) else item
        named = first if first.seed % 10 == 0 else replace(first, name=f"{first.name}{number}")
        apart.append((named, item[1]) if isinstance(item, tuple) else named)
    return apart


def kind_of(message: str) -> str:
    """What was found, without names and numbers."""
    found = re.search(r"found (.*?)(?:, expected|$)", message)
    text = found[1] if found else message.partition(":")[2].strip()
    text = re.sub(r"\(.*", "", text)
    return re.sub(r"\s+", " ", re.sub(r"-?[\d.]+(e[+-]?\d+)?", "N", text)).strip()[:60]


def _same_grid(file: Path, output: Path) -> bool:
    image, labels = nibabel.load(file), nibabel.load(output)
    return image.shape == labels.shape and np.allclose(image.affine, labels.affine, atol=1e-3, rtol=1e-5)

"""Whole and well-formed cases that are wrong: each is spoilt in one known way, and must be said to be.

The oracle knows what was done: a spoilt case without one of the findings that name it is wrong, and so is a finding of
that sort in a case that was left alone.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient

from impulse_nnunet.errors import CasesFailedError
from impulse_nnunet.io.label_maps import count_values
from impulse_nnunet.laterality.pose import learn_pose
from impulse_nnunet.nnunet.predictor import ImPulSePredictor
from impulse_nnunet.nnunet.training_cases import compare_training_cases
from impulse_nnunet.phantom.simple_chest import make_case
from impulse_nnunet.plausibility.facts import CaseFacts, Channels, facts_of_images
from impulse_nnunet.plausibility.judgement import judge_images, judge_prediction, learn
from impulse_nnunet.plausibility.labels import LabelFacts, label_facts
from impulse_nnunet.plausibility.learned import LearnedPlausibility
from impulse_nnunet.preprocessing.survey import CaseSurvey, facts_of, poses_of, survey_dataset
from impulse_nnunet.settings import to_json
from tests.faults.fuzz import Tally
from tests.laterality.test_cases import LABELS, write_model_of
from tests.laterality.test_pose import patient
from tests.support import write_nifti

CONTENT = {
    "labels": {"background": 0, "a": 1, "b": 2},
    "channel_names": {"0": "CT", "1": "noNorm"},
    "file_ending": ".nii.gz",
}
TRAINING = 10
Pair = tuple[np.ndarray, np.ndarray]
Spoil = Callable[[np.ndarray, np.ndarray, np.random.Generator], Pair]

# What is done to an image and a mask -> the findings of which one must be there
IMAGES: dict[str, tuple[Spoil, set[str]]] = {
    "left alone": (lambda image, mask, rng: (image, mask), set()),
    "padded": (lambda image, mask, rng: (_padded(image, rng), mask), set()),
    "noisier": (lambda image, mask, rng: (image + rng.normal(0, 40, image.shape), mask), set()),
    # one block for each kind
    "HU shifted": (lambda image, mask, rng: (image + rng.choice([-1024, 1024, 1000, 400]), mask), {"hu_shift"}),
    "HU from 0 to 4095": (lambda image, mask, rng: (np.clip(image + 1024, 0, 4095), mask), {"hu_shift"}),
    "HU in a window": (lambda image, mask, rng: (np.clip(image, -200, 300), mask), {"hu_range", "hu_shift"}),
    "HU of 8 bits": (lambda image, mask, rng: (np.clip((image + 1000) / 8, 0, 255), mask), {"hu_range", "hu_shift"}),
    "upside down": (lambda image, mask, rng: (image[::-1], mask[::-1]), {"upside_down"}),
    "back to front": (lambda image, mask, rng: (image[:, ::-1], mask[:, ::-1]), {"back_to_front"}),
    "a slab of the body": (lambda image, mask, rng: (image[12:17], mask[12:17]), {"fov_cut"}),
    "mask of 0 and 255": (lambda image, mask, rng: (image, mask * 255), {"mask_values"}),
    "mask of probabilities": (lambda image, mask, rng: (image, mask * rng.uniform(0.2, 0.9)), {"mask_values"}),
    "CT in the mask channel": (lambda image, mask, rng: (image, image), {"mask_values"}),
    "empty mask": (lambda image, mask, rng: (image, mask * 0), {"mask_empty"}),
    "mask of the body": (lambda image, mask, rng: (image, (image > -500) * 1.0), {"mask_volume"}),
}
REFUSED = {"mask of 0 and 255", "CT in the mask channel"}  # among training cases
SMALLER = {"a slab of the body", "mask of probabilities"}  # not among those that training cases are spoilt by
# What is done to labels and the image below them -> the same
LABEL_MAPS: dict[str, tuple[Callable[[np.ndarray, np.ndarray], Pair], set[str]]] = {
    "left alone": (lambda image, labels: (image, labels), set()),
    "upper half": (lambda image, labels: (image[:24], labels[:24]), {"fov_cut"}),
    "lower half": (lambda image, labels: (image[24:], labels[24:]), {"fov_cut"}),
    "one side": (lambda image, labels: (image[:, :, :32], labels[:, :, :32]), {"label_missing"}),
    "other tissue": (lambda image, labels: (np.where(labels > 0, 40, image), labels), {"body_part"}),
    "a lobe missing": (lambda image, labels: (image, np.where(labels == 2, 0, labels)), {"label_missing"}),
    "a lobe of one voxel": (lambda image, labels: (image, _one_voxel(labels, 2)), {"label_volume"}),
    "sides exchanged": (lambda image, labels: (image, np.array([0, 4, 2, 3, 1, 5])[labels]), {"label_place"}),
}
TO_WORLD = np.array([[0, 0, 5.0, 0], [0, 5, 0, 0], [-5, 0, 0, 0], [0, 0, 0, 1]])  # of the made-up chests, LPS
CT = Channels(ct=(0,), masks=(), number=1)


def spoil(folder: Path, tally: Tally, cases: int, seed: int) -> None:
    """Try at least so many cases: two thirds predicted, one tenth among training cases, the rest label maps."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    model = write_model_of(folder / "model", "", **_learned(folder / "learned"))
    predictor = ImPulSePredictor(torch.device("cpu"), progress_bar=False)
    predictor.initialize_from_trained_model_folder(str(model), (0,))
    predicted, planned = -(-2 * cases // 3), -(-cases // 10)
    for start in range(0, predicted, len(IMAGES)):
        _predict(folder / f"predicted_{start}", predictor, tally, rng)
    for number in range(planned):
        _plan(folder / f"planned_{number}", tally, rng)
    learned = learn([_chest(seed) for seed in range(TRAINING)], list(range(1, 6)))
    for _ in range(max(1, cases - predicted - planned)):
        _judge_label_map(learned, tally, rng)


def write_case(folder: Path, name: str, pair: Pair) -> list[str]:
    """The files of a case's channels."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        write_nifti(folder / f"{name}_000{n}.nii.gz", np.asarray(channel, np.float32), (3.0, 3.0, 3.0))
        for n, channel in enumerate(pair)
    ]


def made_up(rng: np.random.Generator) -> Pair:
    """An image and a mask."""
    mask = np.zeros((30, 32, 40))
    mask[8 : int(rng.integers(19, 22)), 14:18, 18:22] = 1
    return patient(int(rng.integers(100, 10**6))), mask


def _learned(folder: Path) -> dict[str, object]:
    """Parts of the plans; the small model's labels are random, so what was learned of labels is left out."""
    survey = _survey(folder, [made_up(np.random.default_rng(seed)) for seed in range(TRAINING)])
    learned, pose = learn(list(facts_of(survey).values()), []), learn_pose(poses_of(survey))
    parts = {name: value for name, value in to_json(learned).items() if name not in ("labels", "volume_ml", "touching")}
    return {"plausibility": parts, "laterality": {"pose": pose.pattern, "pose_axes": list(pose.axes)}}


def _survey(folder: Path, pairs: list[Pair]) -> dict[str, CaseSurvey]:
    cases = {}
    for number, pair in enumerate(pairs):
        files = write_case(folder, f"c{number}", pair)
        label = write_nifti(folder / f"c{number}.nii.gz", LABELS, (3.0, 3.0, 3.0))
        cases[f"c{number}"] = {"images": files, "label": label}
    return survey_dataset(cases, NibabelIOWithReorient, CONTENT, 1, False)


def _predict(folder: Path, predictor: ImPulSePredictor, tally: Tally, rng: np.random.Generator) -> None:
    names = {f"case_{number}": how for number, how in enumerate(IMAGES)}
    cases = {case: write_case(folder / "in", case, IMAGES[how][0](*made_up(rng), rng)) for case, how in names.items()}
    predictor.predict_cases(cases, folder / "out", workers=1)
    entries = json.loads((folder / "out" / "prediction.json").read_text())["cases"]
    for case, how in names.items():
        found = {finding["kind"] for finding in entries[case]["findings"]}
        _note(tally, f"predict, {how}", found, IMAGES[how][1])
        if not (folder / "out" / f"{case}.nii.gz").is_file():
            tally.wrong.append(f"predict, {how}: no labels")


def _plan(folder: Path, tally: Tally, rng: np.random.Generator) -> None:
    """One training case of several is spoilt: it is refused, or named with its kind."""
    how = str(rng.choice([name for name in IMAGES if name not in SMALLER]))
    pairs, lines = [made_up(rng) for _ in range(TRAINING)], _Lines()
    pairs[3] = IMAGES[how][0](*pairs[3], rng)
    survey, logger = _survey(folder, pairs), logging.getLogger("impulse_nnunet.nnunet.training_cases")
    level = logger.level
    logger.addHandler(lines)
    logger.setLevel(logging.WARNING)
    try:
        compare_training_cases(survey, CONTENT)
        found = {kind for kind in IMAGES[how][1] if any("c3" in line and _says(line, kind) for line in lines.said)}
        found |= {"other"} if lines.said and not IMAGES[how][1] else set()
    except CasesFailedError as error:
        found = IMAGES[how][1] if how in REFUSED and set(error.failures) == {"c3"} else {"refused"}
    finally:
        logger.removeHandler(lines)
        logger.setLevel(level)
    _note(tally, f"plan, {how}", found, IMAGES[how][1])


class _Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def _judge_label_map(learned: LearnedPlausibility, tally: Tally, rng: np.random.Generator) -> None:
    how = str(rng.choice(list(LABEL_MAPS)))
    case = make_case(int(rng.integers(100, 10**6)))
    image, labels = LABEL_MAPS[how][0](case.image, case.labels)
    facts, found = _facts(image, labels)
    names = {label: str(label) for label in range(6)}
    findings = judge_images(learned, facts, {0: "CT"}) + judge_prediction(learned, found, names)
    _note(tally, f"labels, {how}", {finding.kind for finding in findings}, LABEL_MAPS[how][1])


def _chest(seed: int) -> CaseFacts:
    case = make_case(seed)
    facts, labels = _facts(case.image, case.labels)
    return replace(facts, labels=labels)


def _facts(image: np.ndarray, labels: np.ndarray) -> tuple[CaseFacts, LabelFacts]:
    facts, sample = facts_of_images(np.asarray(image, np.float32)[None], TO_WORLD, CT)
    whole = np.ascontiguousarray(labels, np.uint8)
    found: LabelFacts = label_facts(whole, count_values(whole), TO_WORLD, sample, faces=True, step=1)
    return facts, found


def _note(tally: Tally, what: str, found: set[str], expected: set[str]) -> None:
    good = bool(found & expected) if expected else not found
    tally.ended[f"{what}: {'said' if expected else 'nothing said'}" if good else f"{what}: WRONG"] += 1
    if not good:
        tally.wrong.append(f"{what}: found {sorted(found)}, expected {sorted(expected) or 'nothing'}")


def _says(line: str, kind: str) -> bool:
    return kind in line or kind.replace("_", " ") in line


def _padded(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    padded = image.copy()
    padded[:, : int(rng.integers(1, 4))] = rng.choice([-3024, -2000])
    return padded


def _one_voxel(labels: np.ndarray, label: int) -> np.ndarray:
    spoilt = np.where(labels == label, label + 1, labels)
    spoilt[tuple(np.argwhere(labels == label)[0])] = label
    return spoilt

"""What is known of a folder of predictions without references: ``prediction.json``, and the volumes of the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.json_files import read_json_object
from impulse_nnunet.io.label_maps import read_label_map
from impulse_nnunet.io.label_scheme import LabelScheme, label_scheme, scheme_of_labels
from impulse_nnunet.io.listing import cases_in
from impulse_nnunet.jobs.prediction_file import FAILED, PREDICTION_FILE, WARNED

UNKNOWN = "unknown"
NO_ENTRY = f"no entry in {PREDICTION_FILE}: nothing is known of how these labels were made"
PREDICT_AGAIN = "predict again"


@dataclass(frozen=True, kw_only=True)
class PredictedCase:
    """One case.

    Args:
        name: Identifier.
        file: Its label map; None if it failed.
        state: ``ok``, ``warned``, ``failed`` or ``unknown``.
        notes: Findings, or the reason of its failure, a line each.
        seconds: That its prediction took, where that is known.
        volumes_ml: Label -> volume, labels without a voxel left out.
    """

    name: str
    file: Path | None
    state: str
    notes: list[str]
    seconds: float | None
    volumes_ml: dict[int, float]


@dataclass(frozen=True, kw_only=True)
class PredictedFolder:
    """A folder of predictions.

    Args:
        folder: The folder.
        scheme: Names of the labels, and their lobes.
        cases: By identifier, in order.
        left_out: File of the input folder -> why it was not read.
        runs: How the labels were made: one entry for each way.
    """

    folder: Path
    scheme: LabelScheme
    cases: dict[str, PredictedCase]
    left_out: dict[str, str]
    runs: dict[str, dict[str, Any]]

    def in_state(self, *states: str) -> list[PredictedCase]:
        """Cases in one of some states."""
        return [case for case in self.cases.values() if case.state in states]


def is_predicted(folder: Path) -> bool:
    """Whether a folder holds predictions, evaluated or not."""
    return folder.is_dir() and ((folder / PREDICTION_FILE).is_file() or bool(cases_in(folder)))


def read_predicted(folder: Path) -> PredictedFolder:
    """Read a folder of predictions; every label map is read, for its volumes.

    Raises:
        InputError: No such folder, no predictions, or a damaged ``prediction.json`` or dataset.json.
    """
    record = _record(folder / PREDICTION_FILE)
    dataset_json = folder / "dataset.json"
    content = read_json_object(dataset_json, "that of the predictions") if dataset_json.is_file() else {}
    files = cases_in(folder, content.get("file_ending"))
    if not files and not record["cases"]:
        raise InputError(str(folder), "no predictions", "label maps", "predict first")
    cases = {
        name: _case(name, files.get(name), record["cases"].get(name)) for name in sorted({*files, *record["cases"]})
    }
    labels = sorted({label for case in cases.values() for label in case.volumes_ml}) or [1]
    scheme = label_scheme(content, dataset_json) if "labels" in content else scheme_of_labels(labels)
    return PredictedFolder(
        folder=folder, scheme=scheme, cases=cases, left_out=dict(record["left_out"]), runs=dict(record["runs"])
    )


def choose_predicted(predicted: PredictedFolder, wanted: Sequence[str]) -> dict[str, str]:
    """Cases to show, with the reason: those named, or a number: warned ones first, others evenly spread.

    Raises:
        InputError: An identifier without labels.
    """
    shown = [case for case in predicted.cases.values() if case.file is not None]
    names = [case.name for case in shown]
    if len(wanted) != 1 or not wanted[0].isdigit() or wanted[0] in names:
        unknown = next((name for name in wanted if name not in names), None)
        if unknown is not None:
            raise InputError("`cases`", repr(unknown), "cases with labels, or a number", "correct it")
        return dict.fromkeys(wanted, "chosen")
    number = int(wanted[0])
    doubtful = [case.name for case in shown if case.state in (WARNED, UNKNOWN)][:number]
    others = [name for name in names if name not in doubtful]
    rest = min(number - len(doubtful), len(others))
    places = sorted({int(place) for place in np.linspace(0, len(others) - 1, rest)}) if rest else []
    chosen = {name: predicted.cases[name].state for name in doubtful}
    return chosen | {others[place]: predicted.cases[others[place]].state for place in places}


def volumes_ml(labels: np.ndarray, spacing_mm: Sequence[float]) -> dict[int, float]:
    """Label -> millilitres, from a label map (d, h, w) and its spacing; 1 ml is 1000 mm^3."""
    voxels = np.bincount(labels.ravel())
    each = float(np.prod(spacing_mm)) / 1000
    return {int(label): float(voxels[label]) * each for label in np.flatnonzero(voxels) if label > 0}


def _record(path: Path) -> dict[str, Any]:
    content = read_json_object(path, f"a {PREDICTION_FILE} of ours", PREDICT_AGAIN) if path.is_file() else {}
    entries = {name: content.get(name, {}) for name in ("cases", "left_out", "runs")}
    if not all(isinstance(entry, dict) for entry in entries.values()):
        raise InputError(str(path), "another form", f"a {PREDICTION_FILE} of ours", PREDICT_AGAIN)
    return entries


def _case(name: str, file: Path | None, entry: Mapping[str, Any] | None) -> PredictedCase:
    state = UNKNOWN if entry is None else str(entry.get("state", UNKNOWN))
    notes = [NO_ENTRY] if entry is None else [str(found.get("text", "")) for found in entry.get("findings", ())]
    notes += [str(entry["reason"]).removeprefix(f"{name}: ")] if entry and "reason" in entry else []
    measured: dict[int, float] = {}
    if state == FAILED:
        file = None  # labels of an earlier call, if there are any, are not those of these images
    if file is not None:
        try:
            label_map = read_label_map(file)
            measured = volumes_ml(label_map.labels, label_map.spacing_mm)
        except InputError as error:
            state, file, notes = FAILED, None, [*notes, str(error)]
    seconds = None if entry is None else entry.get("seconds")
    return PredictedCase(name=name, file=file, state=state, notes=notes, seconds=seconds, volumes_ml=measured)

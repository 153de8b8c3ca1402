"""``prediction.json`` of stock ``nnUNetv2_predict``, as far as the routed methods see the run.

They see each case and where its labels go, not the call: folds are known by their weights only, and labels that the
call keeps (``--continue_prediction``) keep their entries.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import Tensor

from impulse_nnunet.io.upright import own_grid
from impulse_nnunet.jobs.prediction_file import PredictionFile
from impulse_nnunet.nnunet.judging import LabelledCase, judge_labels, log_findings, spacing_of
from impulse_nnunet.nnunet.run_description import describe_run, weights_digests
from impulse_nnunet.runtime.findings import Finding, Findings

COMMAND = "nnUNetv2_predict"


class StockCase:
    """One case of a stock prediction.

    Args:
        records: Of the run.
        truncated: Where its labels go, without the ending; None: nowhere, nothing is recorded.
        found: What was noted when it was read.
    """

    def __init__(self, records: StockRecords, truncated: str | None, found: Iterable[Finding]) -> None:
        self.records, self.truncated = records, truncated
        self.name = "image" if truncated is None else os.path.basename(truncated)
        self.start, self.seconds = time.perf_counter(), 0.0
        self.findings = Findings()
        self.note(found)

    def note(self, found: Iterable[Finding]) -> None:
        """Note findings, in the log too."""
        log_findings(self.name, self.findings.add(self.name, found))

    def judge(self, labels: np.ndarray, image: Tensor, properties: Mapping[str, Any]) -> None:
        """Judge the labels (d, h, w), in the reader's frame, of a preprocessed image (channel, d, h, w)."""
        own = own_grid(properties)
        spacing = spacing_of((properties if own is None else own[1])["spacing"])
        labelled = LabelledCase(case=self.name, labels=labels, spacing_mm=spacing, image=image, properties=properties)
        self.note(judge_labels(self.records.predictor, labelled))
        self.seconds = time.perf_counter() - self.start

    def done(self) -> None:
        """Call before its labels are written."""
        if self.truncated is not None:
            file = self.records.file(Path(self.truncated).parent)
            file.done(self.name, self.findings.of(self.name), self.seconds)

    def failed(self, reason: str) -> None:
        """The run is going to end with this."""
        if self.truncated is not None:
            self.records.file(Path(self.truncated).parent).failed(self.name, reason, self.findings.of(self.name))


class StockRecords:
    """The cases of one stock prediction; on leaving, ``prediction.json`` of each folder is written.

    Args:
        predictor: nnU-Net's, with our network.
    """

    def __init__(self, predictor: nnUNetPredictor) -> None:
        self.predictor = predictor
        self.files: dict[Path, PredictionFile] = {}

    @cached_property
    def run(self) -> dict[str, Any]:
        """How the labels are made."""
        return stock_run(self.predictor)

    def file(self, folder: Path) -> PredictionFile:
        """The prediction file of a folder of labels."""
        if folder not in self.files:
            self.files[folder] = PredictionFile(folder, self.predictor.dataset_json["file_ending"], self.run)
        return self.files[folder]

    @contextmanager
    def case(self, truncated: str | None, found: Sequence[Finding]) -> Iterator[StockCase]:
        """A case at work; an error is noted and goes on up."""
        case = StockCase(self, truncated, found)
        try:
            yield case
        except Exception as error:
            case.failed(" ".join(str(error).split())[:300] or type(error).__name__)
            raise

    def __enter__(self) -> StockRecords:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self.files.values():
            file.join()


def stock_run(predictor: nnUNetPredictor) -> dict[str, Any]:
    """How stock prediction makes labels with the model that it carries."""
    return describe_run(predictor, COMMAND, {"weights": weights_digests(predictor)}, {})


def record_failure(predictor: nnUNetPredictor, truncated: str | None, reason: str) -> None:
    """Note that a case cannot be read; the run is going to end with this."""
    if truncated is None:
        return
    path = Path(truncated)
    file = PredictionFile(path.parent, predictor.dataset_json["file_ending"], stock_run(predictor))
    file.failed(path.name, reason)
    file.join()

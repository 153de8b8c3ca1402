"""``ImPulSePredictor``: nnU-Net's predictor for folders, files and arrays; one bad case does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import Tensor
from tqdm import tqdm

from impulse_nnunet.decoding import EncodedBox
from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.inference.encoding import encode_image
from impulse_nnunet.inference.ensemble import Ensemble, ensemble_of, settings_of
from impulse_nnunet.inference.volume import predict_volume
from impulse_nnunet.inference.writers import Writers, in_order, timed
from impulse_nnunet.io.dataset_json import channel_names
from impulse_nnunet.io.files import check_unchanged, make_folder, remove_leftovers, stamps_of, write_json
from impulse_nnunet.io.images import check_image
from impulse_nnunet.io.listing import list_cases
from impulse_nnunet.jobs.case_records import model_identity
from impulse_nnunet.jobs.prediction_file import PredictionFile
from impulse_nnunet.network import ImPulSeNet
from impulse_nnunet.nnunet.case_input import preprocessed, read_to_predict
from impulse_nnunet.nnunet.cases import PreparedCase, decode_case
from impulse_nnunet.nnunet.judging import judge_image, judge_labels, log_findings
from impulse_nnunet.nnunet.models import check_model_folder, load_model, trained_folds
from impulse_nnunet.nnunet.output_options import DISPLACEMENT_FOLDER, OutputOptions, every_file
from impulse_nnunet.nnunet.outputs import DecodedCase, Outputs
from impulse_nnunet.nnunet.run_description import describe_run
from impulse_nnunet.runtime.device_errors import DeviceLostError
from impulse_nnunet.runtime.environment import ensure_variables
from impulse_nnunet.runtime.findings import Finding, Findings
from impulse_nnunet.runtime.output import suppress_output
from impulse_nnunet.settings import ImPulSeSettings

logger = logging.getLogger(__name__)


class ImPulSePredictor(nnUNetPredictor):
    """Predicts with trained models of this package; the labels are those that stock ``nnUNetv2_predict`` writes.

    Args:
        device: Where to compute; CUDA if there is one.
        progress_bar: Show one.
        verbose: nnU-Net's own output.

    Attributes:
        findings: What was noted of the cases predicted so far.
        side_agreements: How well their sides agree with the training cases', where that is known.
        model_files: Digests of the model's files.
        run: How labels are made, as ``prediction.json`` has it.
    """

    def __init__(self, device: torch.device | None = None, progress_bar: bool = True, verbose: bool = False) -> None:
        self.findings = Findings()
        self.side_agreements: dict[str, float] = {}
        self.model_files: dict[str, str] = {}
        self.run: dict[str, Any] = {}
        device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with suppress_output(verbose):
            super().__init__(
                use_mirroring=False,
                perform_everything_on_device=device.type == "cuda",
                device=device,
                verbose=verbose,
                verbose_preprocessing=verbose,
                allow_tqdm=progress_bar,
            )

    def initialize_from_trained_model_folder(
        self,
        model_training_output_dir: str,
        use_folds: tuple[int | str, ...] | None,
        checkpoint_name: str = "checkpoint_final.pth",
    ) -> None:
        """Overrides nnU-Net's: no code in the files can run; what is missing or does not fit is named in one line."""
        folder = Path(model_training_output_dir)
        check_model_folder(folder)
        folds = use_folds or trained_folds(folder, checkpoint_name)
        for fold in folds:
            if not (folder / f"fold_{fold}" / checkpoint_name).is_file():
                raise InputError(
                    str(folder / f"fold_{fold}"),
                    f"no {checkpoint_name}",
                    "a trained fold",
                    "train it, or choose other `use_folds` or `checkpoint_name`",
                )
        ensure_variables()
        logger.info("folds %s of %s, %s", ", ".join(str(fold) for fold in folds), folder.name, checkpoint_name)
        with suppress_output(self.verbose):
            model = load_model(folder, folds, checkpoint_name)
        trainer = model.folds[0].trainer
        if not isinstance(model.network, ImPulSeNet):
            raise InputError(str(folder), f"a model of {trainer}", "one of our trainers", "use nnUNetv2_predict")
        self.manual_initialization(
            model.network,
            model.plans_manager,
            model.configuration_manager,
            [fold.weights for fold in model.folds],
            model.description.dataset_json,
            trainer,
            model.folds[0].mirroring_axes,
        )
        self.model_files = model_identity(folder, folds, checkpoint_name)
        identity = {"configuration": model.folds[0].configuration, "folds": list(folds), "files": self.model_files}
        self.run = describe_run(self, "impulse_nnunet predict", identity, {})

    def predict_folder(
        self,
        input_folder: str | Path,
        output_folder: str | Path,
        options: OutputOptions | None = None,
        overwrite: bool = True,
        num_parts: int = 1,
        part_id: int = 0,
        workers: int = 2,
    ) -> list[str]:
        """Predict the cases of a folder (nnU-Net's names, ``CASE_0000.nii.gz``) and return their identifiers.

        Raises:
            CasesFailedError: After the others are done, if cases failed.
        """
        if not 0 <= part_id < num_parts:
            raise InputError("`part_id`", str(part_id), f"0 to {num_parts - 1}", "count parts from 0")
        cases = list_cases(Path(input_folder), self.dataset_json["file_ending"])
        chosen = dict(list(cases.items())[part_id::num_parts])
        return self.predict_cases(chosen, output_folder, options, overwrite, workers)

    def predict_cases(
        self,
        cases: dict[str, list[str]],
        output_folder: str | Path,
        options: OutputOptions | None = None,
        overwrite: bool = True,
        workers: int = 2,
        noted: Mapping[str, Sequence[Finding]] | None = None,
    ) -> list[str]:
        """Predict cases given as identifier -> channel files; see :meth:`predict_folder`.

        ``noted`` holds what was found of cases before, when their files were made.
        """
        options = options or OutputOptions()
        if options.displacement and not ensemble_of(self, all_folds=False).network.decoder.moves_points:
            raise InputError(
                "`displacement`", f"a model of {self.trainer_name}", "one that deforms a template", "leave it out"
            )
        output = Path(output_folder)
        make_folder(output)
        remove_leftovers(output)
        remove_leftovers(output / DISPLACEMENT_FOLDER)
        for name, content in (("dataset.json", self.dataset_json), ("plans.json", self.plans_manager.plans)):
            write_json(content, output / name)
        outputs = self.outputs(output, options)
        todo = [case for case in cases if overwrite or not all(file.is_file() for file in outputs.files(case))]
        recorded = self.prediction_file(output, options)
        recorded.begin(todo)
        for case in todo:
            self.findings.forget(case)
            self.findings.add(case, (noted or {}).get(case, ()))
        try:
            failures = self._predict_all({case: cases[case] for case in todo}, outputs, recorded, workers)
            for case, reason in failures.items():
                recorded.failed(case, reason, self.findings.of(case))
        finally:
            recorded.join()
        if failures:
            raise CasesFailedError(failures, len(todo))
        return todo

    def outputs(self, folder: Path, options: OutputOptions) -> Outputs:
        """The files of cases that are predicted into a folder."""
        ending = self.dataset_json["file_ending"]
        return Outputs(
            folder=folder,
            ending=ending,
            plans_manager=self.plans_manager,
            dataset_json=self.dataset_json,
            options=options,
        )

    def prediction_file(self, folder: Path, options: OutputOptions) -> PredictionFile:
        """What becomes of the cases of a folder: ``prediction.json`` there."""
        settings = self.run.get("settings", {}) | asdict(options)
        ending, run = self.dataset_json["file_ending"], self.run | {"settings": settings}
        return PredictionFile(folder, ending, run, partial(every_file, folder, ending))

    def _predict_all(
        self, cases: dict[str, list[str]], outputs: Outputs, recorded: PredictionFile, workers: int
    ) -> dict[str, str]:
        """Predict cases one after the other, reading ahead and writing behind; why some failed."""
        ensemble, todo = ensemble_of(self), list(cases)
        failures: dict[str, str] = {}
        with ThreadPoolExecutor(max(1, workers)) as readers, Writers(workers) as writers:
            pending: dict[str, Future[object]] = {}
            prepared = in_order(readers, lambda case: timed(partial(self.prepare, case, cases[case])), todo)
            for case, future in tqdm(prepared, "Predicting", len(todo), unit="case", disable=not self.allow_tqdm):
                try:
                    ready, reading_s = future.result()
                    write, seconds = timed(partial(self._predict_one, ensemble, ready, outputs))
                    pending[case] = writers.submit(partial(self._write_one, case, write, recorded, reading_s + seconds))
                except DeviceLostError as error:
                    failures |= {left: f"{left}: not predicted" for left in todo[todo.index(case) :]}
                    failures[case] = str(error)
                    break
                except InputError as error:
                    failures[case] = str(error)
                except (RuntimeError, MemoryError) as error:
                    failures[case] = f"{case}: could not be predicted: {_one_line(error)}"
            for case, written in pending.items():
                try:
                    written.result()
                except (InputError, OSError, RuntimeError) as error:
                    failures[case] = f"{case}: could not be written: {_one_line(error)}"
        return failures

    def _write_one(self, case: str, write: Callable[[], Any], recorded: PredictionFile, seconds: float) -> None:
        """The entry of a case first, so that no labels lie there without it."""
        recorded.done(case, self.findings.of(case), seconds)
        write()

    def predict_array(self, image: np.ndarray, spacing_mm: Sequence[float], with_probabilities: bool = False) -> Any:
        """Predict one image in memory.

        Args:
            image: (channel, d, h, w), axes as nnU-Net's reader gives them (SimpleITK's order: z, y, x).
            spacing_mm: (d, h, w).
            with_probabilities: Also return (class, d, h, w) probabilities.

        Returns:
            (d, h, w) labels, or labels and probabilities.
        """
        check_image("image", image, len(self._channels()))
        data, properties = preprocessed(self, image, {"spacing": list(spacing_mm)})
        decode = partial(
            decode_case,
            properties=properties,
            plans_manager=self.plans_manager,
            with_probabilities=with_probabilities,
        )
        prediction = predict_volume(ensemble_of(self), data, settings_of(self), decode, encode=self.encode)
        return (prediction.labels, prediction.probabilities) if with_probabilities else prediction.labels

    def _channels(self) -> Any:
        return channel_names(self.dataset_json)

    def prepare(self, case: str, files: list[str]) -> PreparedCase:
        """Read a case, check it and preprocess it as the plans say.

        Args:
            case: Identifier, for messages.
            files: One for each channel.

        Raises:
            InputError: Naming the file and what is wrong with it.
        """
        stamps = stamps_of(files)
        raw = read_to_predict(self, case, files)
        self._note(case, judge_image(self, case, raw, self.side_agreements))
        image, properties = preprocessed(self, raw.images, raw.properties)
        return PreparedCase(case=case, files=files, image=image, properties=properties, stamps=stamps)

    def _note(self, case: str, found: Sequence[Finding]) -> None:
        log_findings(case, self.findings.add(case, found))

    def encode(self, ensemble: Ensemble, image: Tensor, settings: ImPulSeSettings, case: str = "image") -> EncodedBox:
        """Encode a preprocessed image (channel, d, h, w); a subclass may look at the case in another way."""
        return encode_image(ensemble, image, settings, case)

    def _predict_one(self, ensemble: Ensemble, prepared: PreparedCase, outputs: Outputs) -> Callable[[], Any]:
        """Decode a case now; returns what is left to do, writing, for another thread."""

        def decode(encoded: EncodedBox, block: int) -> DecodedCase:
            self.findings.add(prepared.case, encoded.findings)  # the encoder has logged them
            return outputs.decode(encoded, block, prepared)

        decoded = predict_volume(
            ensemble, prepared.image, settings_of(self), decode, case=prepared.case, encode=self.encode
        )
        self._note(prepared.case, judge_labels(self, decoded.labelled))
        check_unchanged(prepared.stamps, prepared.case)
        return lambda: [write() for write in decoded.writes]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

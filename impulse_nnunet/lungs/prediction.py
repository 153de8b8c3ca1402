"""Anatomy masks of cases that no fold of a model saw, predicted by nnU-Net's own command with all folds together."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import link_whole
from impulse_nnunet.io.label_maps import read_label_map
from impulse_nnunet.jobs.case_records import RECORDS, CaseRecords, model_identity
from impulse_nnunet.jobs.process import CommandError, run_command
from impulse_nnunet.lungs.inputs import channel_file
from impulse_nnunet.lungs.models import ShapeModel
from impulse_nnunet.nnunet.check_model import refuse_unsafe

COMMAND = "nnunetv2.inference.predict_from_raw_data:predict_entry_point_modelfolder"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictionOptions:
    """How to predict.

    Args:
        device: ``cpu`` or ``cuda``; CUDA if there is one by default.
        disable_tta: No mirroring, which takes an eighth of the time.
        processes: For reading and for writing.
    """

    device: str | None = None
    disable_tta: bool = False
    processes: int = 1


def predict_unseen(
    model: ShapeModel, images: Mapping[str, Path], output: Path, options: PredictionOptions
) -> dict[str, Path]:
    """Predict cases; those that an earlier call made with the same model and options from the same image are kept.

    Args:
        model: The model.
        images: Case identifier -> CT.
        output: Folder of the predictions.
        options: Device and speed.

    Returns:
        Case identifier -> label map.

    Raises:
        InputError: The model is unsafe, or the prediction failed.
    """
    files = {case: output / f"{case}{model.ending}" for case in images}
    records = CaseRecords(output / RECORDS, _settings(model, options))
    for case in [case for case in files if records.is_begun(case)]:
        _drop_if_broken(files[case])
    sources = {case: [image] for case, image in images.items()}
    records.resume(
        sources, lambda case: [files[case]], lambda missing: _predict(model, images, missing, output, options)
    )
    absent = [case for case, file in files.items() if not file.is_file()]
    if absent:
        raise InputError(absent[0], f"no prediction by {model.name}", "one", f"see the log in {output}")
    return files


def _settings(model: ShapeModel, options: PredictionOptions) -> dict[str, object]:
    """What decides the predictions, besides the images."""
    identity = model_identity(model.folder, model.folds, model.checkpoint)
    return {"model": identity, "disable_tta": options.disable_tta}


def _predict(
    model: ShapeModel, images: Mapping[str, Path], cases: list[str], output: Path, options: PredictionOptions
) -> None:
    if not cases:
        return
    refuse_unsafe(model.folder, model.folds, model.checkpoint)
    logger.info("predicting %d case(s) with %s, folds %s", len(cases), model.name, ", ".join(model.folds))
    with tempfile.TemporaryDirectory(prefix=".images_", dir=output) as staged:
        for case in cases:
            link_whole(images[case], channel_file(Path(staged), case, 0, model.ending))
        _run(model, Path(staged), output, options)


def _drop_if_broken(file: Path) -> None:
    """nnU-Net does not write whole files only: what an interruption left is made again."""
    if file.is_file():
        try:
            read_label_map(file)
        except InputError:
            file.unlink()


def _run(model: ShapeModel, images: Path, output: Path, options: PredictionOptions) -> None:
    command = [
        *(COMMAND, "-i", str(images), "-o", str(output), "-m", str(model.folder)),
        *("-f", *model.folds, "-chk", model.checkpoint, "-device", options.device or best_device()),
        *("-npp", str(options.processes), "-nps", str(options.processes), "--disable_progress_bar"),
        *(["--disable_tta"] if options.disable_tta else []),
    ]
    log = output / "prediction.log"
    try:
        run_command(command, log, patience_s=0.0)  # its workers would not end by themselves
    except CommandError as error:
        raise InputError(
            model.name, f"a prediction that failed ({error.reason})", "predictions", f"see {log}, then try again"
        ) from error


def best_device() -> str:
    """``cuda`` if there is one, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"

"""Shapes of cases that no fold of a model saw, predicted by nnU-Net's own command with all folds together."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from impulse_nnunet.environment import TRAINERS, with_our_folder
from impulse_nnunet.errors import InputError
from impulse_nnunet.files import last_line, link_whole, write_json
from impulse_nnunet.lungs.inputs import channel_file
from impulse_nnunet.lungs.label_files import read_label_map
from impulse_nnunet.lungs.models import ShapeModel
from impulse_nnunet.trust.check import refuse_unsafe

COMMAND = (
    "import sys; from impulse_nnunet.jobs.process_guard import end_with_parent; "
    "end_with_parent(int(sys.argv.pop(1)), whole_group=True); "
    "from nnunetv2.inference.predict_from_raw_data import predict_entry_point_modelfolder as run; "
    "sys.exit(run())"
)
RECORD = "model.json"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictionOptions:
    """How to predict.

    Args:
        device: ``cpu``, ``cuda`` or ``mps``; CUDA if there is one by default.
        disable_tta: No mirroring, which takes an eighth of the time.
        processes: For reading and for writing.
    """

    device: str | None = None
    disable_tta: bool = False
    processes: int = 1


def predict_unseen(
    model: ShapeModel, images: Mapping[str, Path], output: Path, options: PredictionOptions
) -> dict[str, Path]:
    """Predict cases; those that an interrupted call of the same model finished are kept.

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
    _keep_only_this_models(model, output, options)
    for file in files.values():
        _drop_if_broken(file)
    missing = [case for case, file in files.items() if not file.is_file()]
    if missing:
        refuse_unsafe(model.folder, model.folds, model.checkpoint)
        logger.info("predicting %d case(s) with %s, folds %s", len(missing), model.name, ", ".join(model.folds))
        with tempfile.TemporaryDirectory(prefix=".images_", dir=output) as staged:
            for case in missing:
                link_whole(images[case], channel_file(Path(staged), case, 0, model.ending))
            _run(model, Path(staged), output, options)
    absent = [case for case, file in files.items() if not file.is_file()]
    if absent:
        raise InputError(absent[0], f"no prediction by {model.name}", "one", f"see the log in {output}")
    return files


def _keep_only_this_models(model: ShapeModel, output: Path, options: PredictionOptions) -> None:
    """Clear the folder of another model's predictions."""
    checkpoints = [model.folder / f"fold_{fold}" / model.checkpoint for fold in model.folds]
    stamps = [[path.parent.name, path.stat().st_size, path.stat().st_mtime_ns] for path in checkpoints]
    wanted = {"model": str(model.folder.resolve()), "checkpoints": stamps, "disable_tta": options.disable_tta}
    try:
        found = json.loads((output / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != wanted:
        shutil.rmtree(output, ignore_errors=True)
        write_json(wanted, output / RECORD)


def _drop_if_broken(file: Path) -> None:
    """nnU-Net does not write whole files only: what an interruption left is made again."""
    if file.is_file():
        try:
            read_label_map(file)
        except InputError:
            file.unlink()


def _run(model: ShapeModel, images: Path, output: Path, options: PredictionOptions) -> None:
    command = [
        *(sys.executable, "-c", COMMAND, str(os.getpid())),
        *("-i", str(images), "-o", str(output), "-m", str(model.folder)),
        *("-f", *model.folds, "-chk", model.checkpoint, "-device", options.device or best_device()),
        *("-npp", str(options.processes), "-nps", str(options.processes), "--disable_progress_bar"),
        *(["--disable_tta"] if options.disable_tta else []),
    ]
    environment = os.environ | {TRAINERS: with_our_folder(os.environ.get(TRAINERS))}
    log = output / "prediction.log"
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            command, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )  # fmt: skip
        try:
            code = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # with nnU-Net's workers, which would not end by themselves
            process.wait()
            raise
    if code != 0:
        raise InputError(
            model.name, f"a prediction that failed ({last_line(log)})", "predictions", f"see {log}, then try again"
        )


def best_device() -> str:
    """``cuda`` if there is one, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"

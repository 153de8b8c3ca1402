"""What the parts of a trained ImPulSe+ do: the template alone T(p), after deformation T(p + D), and all of Eq. 9.

A part is switched off by setting the last layer of its head to zero, which makes its output exactly zero; the rest is
the network's own decoding at native resolution. The region of interest is the one that the whole network finds.
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path

import torch
from torch import nn

from impulse_nnunet.decoding import EncodedBox
from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.geometry.working_volume import to_working_volume
from impulse_nnunet.inference.encoding import encode_image
from impulse_nnunet.inference.ensemble import Ensemble
from impulse_nnunet.io.listing import list_cases
from impulse_nnunet.network import PointDecoder
from impulse_nnunet.nnunet.predictor import ImPulSePredictor
from impulse_nnunet.runtime.cpus import usable_threads
from impulse_nnunet.settings import ImPulSeSettings

STAGES = ("template", "deformed", "corrected")


def decoder_of_stage(decoder: nn.Module, stage: str) -> PointDecoder:
    """A copy of a decoder that stops after a stage.

    Raises:
        InputError: A network without template, deformation or correction.
    """
    parts = [getattr(decoder, name, None) for name in ("template", "deformation", "correction")]
    if not isinstance(decoder, PointDecoder) or any(part is None for part in parts):
        raise InputError(
            "model",
            "a network without template, deformation or correction",
            "one of ImPulSe+",
            "give a model of nnUNetTrainerImPulSe with all parts",
        )
    stopped = copy.deepcopy(decoder)
    heads = {"template": ("deformation", "correction"), "deformed": ("correction",), "corrected": ()}[stage]
    with torch.no_grad():
        for name in heads:
            last = getattr(stopped, name).last
            last.weight.zero_()
            last.bias.zero_()
    return stopped


class StagePredictor(ImPulSePredictor):
    """Predicts the labels after one stage.

    Args:
        stage: One of :data:`STAGES`.
        device: Where to compute.
    """

    def __init__(self, stage: str, device: torch.device) -> None:
        if stage not in STAGES:
            raise InputError("`stage`", repr(stage), f"one of {', '.join(STAGES)}", "choose one")
        super().__init__(device, progress_bar=False)
        self.stage = stage

    def encode(
        self, ensemble: Ensemble, image: torch.Tensor, settings: ImPulSeSettings, case: str = "image"
    ) -> EncodedBox:
        """A native image (channel, d, h, w), encoded for the stage, in the box that the whole network finds."""
        whole = encode_image(ensemble, image, settings, case)
        stopped = copy.copy(ensemble)
        stopped.decoders = [decoder_of_stage(decoder, self.stage) for decoder in ensemble.decoders]
        volume = to_working_volume(image, settings.grid.working_grid)
        return stopped.encode(volume, whole.box, settings.grid.input_grid)


def predict_stage(
    stage: str, model: Path, fold: int | str, images: Path, output: Path, device: str, cases: list[str] | None = None
) -> list[str]:
    """Write the label maps of a stage; returns the case identifiers.

    Args:
        stage: One of :data:`STAGES`.
        model: TRAINER__PLANS__CONFIGURATION of ImPulSe+.
        fold: That is trained.
        images: Folder of images, named as nnU-Net asks.
        output: Folder of label maps; those that are there are kept.
        device: Where to compute.
        cases: Identifiers; all of the folder if None.
    """
    if device == "cpu":
        torch.set_num_threads(usable_threads())
    predictor = StagePredictor(stage, torch.device(device))
    predictor.initialize_from_trained_model_folder(str(model), (fold,))
    found = list_cases(images, predictor.dataset_json["file_ending"])
    chosen = {case: found[case] for case in (cases or found) if case in found}
    return predictor.predict_cases(chosen, output, overwrite=False)


def main() -> None:
    """The entry point of a process of its own."""
    parser = argparse.ArgumentParser("stages")
    parser.add_argument("--stage", nargs="+", choices=STAGES, required=True)
    parser.add_argument("-o", nargs="+", required=True)  # a folder for each stage
    for flag in ("-i", "-m", "-f", "-device"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--cases", nargs="*")
    options = parser.parse_args()
    fold = int(options.f) if options.f.isdigit() else options.f
    images, model = Path(options.i), Path(options.m)
    try:
        for stage, output in zip(options.stage, options.o, strict=True):
            predict_stage(stage, model, fold, images, Path(output), options.device, options.cases)
    except (InputError, CasesFailedError) as error:
        sys.exit(" ".join(str(error).split()))

"""The first stage of a training: the template, which stays fixed from then on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import distributed

from impulse_nnunet.evaluation.overlap import dice_per_label
from impulse_nnunet.network.template import CoTrainedTemplate, Template
from impulse_nnunet.training.curves import plot_template_curve
from impulse_nnunet.training.points import IGNORED
from impulse_nnunet.training.template_fit import TemplateFit, frequency_template, template_labels
from impulse_nnunet.training.template_image import write_template

if TYPE_CHECKING:
    from torch import Tensor

    from impulse_nnunet.settings import ImPulSeSettings
    from impulse_nnunet.trainers.impulse import nnUNetTrainerImPulSe
    from impulse_nnunet.training.batches import CaseStore

TEMPLATE_SHARE = 0.3  # of the minutes, where the plans limit them, that a learned template may take


def make_template(trainer: nnUNetTrainerImPulSe) -> None:
    """Fit the template of the plans and put it into the network, where it has one that is not trained with it.

    ``template.nii.gz`` is written, and the log says which Dice the template alone reaches on the validation cases.
    """
    template = template_of(trainer)
    if template is None or isinstance(template, CoTrainedTemplate):
        return
    logits = _fit(trainer, template)
    template.set_logits(logits.to(trainer.device))
    _report(trainer, logits)
    if trainer.is_ddp:
        distributed.broadcast(template.logits, 0)


def report_co_trained_template(trainer: nnUNetTrainerImPulSe) -> None:
    """Write and score a template that was trained with the network, at the training's end."""
    template = template_of(trainer)
    if isinstance(template, CoTrainedTemplate):
        template.eval()
        _report(trainer, template.logits[0].float().cpu())


def template_of(trainer: nnUNetTrainerImPulSe) -> Template | None:
    """The network's template, if it has one."""
    return getattr(trainer.bare_network().decoder, "template", None)


def template_dice(logits: Tensor, cases: CaseStore, settings: ImPulSeSettings) -> float:
    """Mean foreground Dice of the template alone, on the template grid of each case's true region of interest.

    Cases whose annotated voxels all lie between the template's are left out; NaN if that leaves none.
    """
    predicted = logits.argmax(0).numpy()
    scores = []
    for identifier in cases.identifiers:
        labels = template_labels(cases[identifier], predicted.shape, settings, cases.ignore_label)
        dice = dice_per_label(np.maximum(labels, 0), predicted, len(logits), labels != IGNORED)
        scores.extend([np.nanmean(dice)] if np.isfinite(dice).any() else [])
    return float(np.mean(scores)) if scores else float("nan")


def _report(trainer: nnUNetTrainerImPulSe, logits: Tensor) -> None:
    if trainer.local_rank != 0:
        return
    mode = trainer.settings.template.mode
    dice = template_dice(logits, trainer.validation_cases, trainer.settings)
    trainer.print_to_log_file(f"Template ({mode}) alone reaches a Dice of {dice:.4f} on the validation cases")
    extent_mm = trainer.configuration_manager.configuration["estimates"]["extent_mm"]
    turned = "Reorient" in trainer.plans_manager.image_reader_writer_class.__name__
    write_template(logits, extent_mm, Path(trainer.output_folder) / "template.nii.gz", turned)


def _fit(trainer: nnUNetTrainerImPulSe, template: Template) -> Tensor:
    """Logits (class, d, h, w), on every rank: none waits for another longer than a collective may take."""
    classes, *grid = template.logits.shape[1:]
    first, folder = trainer.local_rank == 0, Path(trainer.output_folder)
    stopped = lambda: trainer.interruption.asked  # noqa: E731
    if trainer.settings.template.mode == "frequency":
        return frequency_template(trainer.cases, grid, classes, trainer.settings, first, stopped)
    fit = TemplateFit(
        cases=trainer.cases,
        grid=grid,
        number_of_classes=classes,
        settings=trainer.settings,
        device=trainer.device,
        folder=folder,
        log=trainer.print_to_log_file,
        writes=first,
        stopped=stopped,
        time_used=lambda: trainer.pace.share_used(TEMPLATE_SHARE),
    )
    logits = fit.run(resume=trainer.continue_training, progress_bar=first)
    if first:
        plot_template_curve(fit.losses, folder / "template_progress.png")
    return logits

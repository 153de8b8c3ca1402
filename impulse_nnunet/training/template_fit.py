"""Making the template: closed form, or the paper's pre-training with a curve and checkpoints."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import time

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from impulse_nnunet.geometry.boxes import Box, region_box
from impulse_nnunet.io.files import whole_file
from impulse_nnunet.network.template import TemplateGenerator
from impulse_nnunet.runtime.signals import StopRequestedError
from impulse_nnunet.settings import ImPulSeSettings
from impulse_nnunet.training.batches import CaseStore, TrainingCase
from impulse_nnunet.training.lattice import lattice_labels
from impulse_nnunet.training.losses import cross_entropy, soft_dice_loss
from impulse_nnunet.training.optimiser import adamw, load_optimiser
from impulse_nnunet.training.points import IGNORED

CHECKPOINT_SECONDS = 60.0
CHECKPOINT_NAME = "template_checkpoint.pth"
TEMPLATE_STREAM = 2


def template_labels(
    case: TrainingCase, grid: Sequence[int], settings: ImPulSeSettings, ignore: int | None
) -> np.ndarray:
    """Labels of a case on the template grid of its region of interest: (d, h, w) int64, IGNORED where unknown."""
    two_pass = settings.region.mode == "two_pass"
    box = region_box(case.foreground_faces, settings.region.margin) if two_pass else Box.whole()
    return lattice_labels(case.segmentation, box, grid, ignore).reshape(tuple(grid))


def frequency_template(
    cases: CaseStore,
    grid: Sequence[int],
    number_of_classes: int,
    settings: ImPulSeSettings,
    progress_bar: bool = True,
    stopped: Callable[[], bool] = lambda: False,
) -> Tensor:
    """Log of the class frequency at each template voxel: (class, d, h, w).

    It is where cross-entropy alone drives a free template. Each class gets ``template.smoothing`` cases on top.

    Raises:
        StopRequestedError: ``stopped``, asked between two cases, said so.
    """
    voxels = math.prod(grid)
    counts = np.zeros(number_of_classes * voxels)
    where = np.arange(voxels)
    for identifier in tqdm(cases.identifiers, "Template from class frequencies", disable=not progress_bar):
        if stopped():
            raise StopRequestedError(signal.SIGTERM)
        labels = template_labels(cases[identifier], grid, settings, cases.ignore_label).ravel()
        known = labels != IGNORED
        counts[labels[known] * voxels + where[known]] += 1
    smoothed = counts.reshape(number_of_classes, *grid) + settings.template.smoothing
    return torch.from_numpy(np.log(smoothed / smoothed.sum(0, keepdims=True))).float()


@dataclass(kw_only=True)
class TemplateFit:
    """Pre-training of a learned template (paper, section 4.5), resumable.

    Args:
        cases: Training cases.
        grid: Template grid.
        number_of_classes: Background included.
        settings: Settings of the plans.
        device: Where to train.
        folder: Holds ``template_checkpoint.pth`` while training and ``template_progress.png`` afterwards.
        log: Receives lines of text.
        writes: Whether this process writes the checkpoints.
        stopped: Asked between two steps; on true the state is saved and :class:`StopRequestedError` raised.
        time_used: Share of the time for it that is used up, asked at each step; the learning rate follows it where it
            is ahead of the steps, and at 1 the fit ends.
    """

    cases: CaseStore
    grid: Sequence[int]
    number_of_classes: int
    settings: ImPulSeSettings
    device: torch.device
    folder: Path
    log: Callable[[str], None]
    writes: bool = True
    stopped: Callable[[], bool] = lambda: False
    time_used: Callable[[], float] = lambda: 0.0
    losses: list[float] = field(default_factory=list)
    unread: list[Tensor] = field(default_factory=list, repr=False)
    known_labels: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def checkpoint(self) -> Path:
        """Where the state is kept while training."""
        return self.folder / CHECKPOINT_NAME

    def run(self, resume: bool, progress_bar: bool = True) -> Tensor:
        """Train and return the template's logits: (class, d, h, w) on the CPU."""
        torch.manual_seed(self.settings.training.seed)
        generator = TemplateGenerator(self.number_of_classes, self.grid).to(self.device)
        optimiser = adamw(generator.parameters(), self.settings.template.learning_rate, self.device)
        if resume and self.checkpoint.is_file():
            self._go_on(generator, optimiser)
        total, saved = self.settings.template.iterations, time()
        steps = tqdm(
            range(len(self.losses), total),
            "Template pre-training",
            total,
            initial=len(self.losses),
            disable=not progress_bar,
        )
        for step in steps:
            progress = max(step / total, self.time_used())
            if progress >= 1 and step > 0:
                self.log(f"Template pre-training ends after {step} of {total} steps: its share of the minutes is over")
                break
            self.unread.append(self._step(generator, optimiser, step, progress))
            if (step + 1) % 50 == 0:
                self._read_losses()
                steps.set_postfix(loss=f"{np.mean(self.losses[-50:]):.3f}")
            if self.stopped():
                self._save(generator, optimiser)
                raise StopRequestedError(signal.SIGTERM)
            if time() - saved > CHECKPOINT_SECONDS:
                self._save(generator, optimiser)
                saved = time()
        self._save(generator, optimiser)
        generator.eval()
        with torch.no_grad():
            return generator()[0].float().cpu()

    def _go_on(self, generator: TemplateGenerator, optimiser: torch.optim.Optimizer) -> None:
        """Set what :meth:`_save` saved, on whatever device."""
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        generator.load_state_dict(state["generator"])
        load_optimiser(optimiser, state["optimiser"])
        self.losses = list(state["losses"])
        self.log(f"Template pre-training goes on at step {len(self.losses)}")

    def _read_losses(self) -> None:
        """Take the losses of the last steps from the device, at once: no step waits for the one before."""
        if self.unread:
            self.losses += torch.stack(self.unread).tolist()
            self.unread = []

    def _step(
        self, generator: TemplateGenerator, optimiser: torch.optim.Optimizer, step: int, progress: float
    ) -> Tensor:
        generator.train()
        optimiser.param_groups[0]["lr"] = self.settings.template.learning_rate * (1 + math.cos(math.pi * progress)) / 2
        rng = np.random.default_rng([self.settings.training.seed, TEMPLATE_STREAM, step])
        target = self._target(self.cases.identifiers[rng.integers(len(self.cases.identifiers))])
        logits = generator()[0].flatten(1).T
        weights = self.settings.loss
        loss = weights.cross_entropy * cross_entropy(logits, target) + weights.dice * soft_dice_loss(logits, target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.detach()

    def _target(self, identifier: str) -> Tensor:
        """Labels of a case on the template grid, (voxel,) int64; kept as int16 for the next time."""
        if identifier not in self.known_labels:
            labels = template_labels(self.cases[identifier], self.grid, self.settings, self.cases.ignore_label)
            self.known_labels[identifier] = torch.from_numpy(labels.ravel()).to(torch.int16)
        return self.known_labels[identifier].to(self.device).long()

    def _save(self, generator: TemplateGenerator, optimiser: torch.optim.Optimizer) -> None:
        self._read_losses()
        if not self.writes:
            return
        state = {"generator": generator.state_dict(), "optimiser": optimiser.state_dict(), "losses": self.losses}
        with whole_file(self.checkpoint) as path:
            torch.save(state, path)

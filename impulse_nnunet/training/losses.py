"""The training loss: cross-entropy, soft Dice over the whole batch, and the length of the displacement."""

from __future__ import annotations

import torch
import torch.distributed.nn.functional as distributed_functional
from torch import Tensor, distributed
from torch.nn import functional

from impulse_nnunet.network.impulse_net import PointPrediction
from impulse_nnunet.settings import LossSettings
from impulse_nnunet.training.points import IGNORED

SMOOTH = 1e-5


def point_loss(prediction: PointPrediction, labels: Tensor, settings: LossSettings) -> Tensor:
    """0.5 CE + 1.0 Dice + 0.001 LD with the default weights (paper, section 4.5 and Table 2).

    Args:
        prediction: Logits (batch, point, class) and displacement (batch, point, 3).
        labels: (batch, point) int64; :data:`IGNORED` points count nowhere.
        settings: Weights of the terms.
    """
    logits = prediction.logits.float()
    total = settings.dice * soft_dice_loss(logits, labels, across_ranks=True)
    total = total + settings.cross_entropy * cross_entropy(logits, labels, across_ranks=True)
    lengths = displacement_length(prediction.displacement)
    return total + settings.displacement * share_of_mean(lengths, labels.numel())


def cross_entropy(logits: Tensor, labels: Tensor, across_ranks: bool = False) -> Tensor:
    """Mean cross-entropy over all points that are not ignored; 0 where all are.

    Args:
        logits: (..., class).
        labels: (...) int64.
        across_ranks: With DDP, this rank's part of the mean over the global batch; all ranks must call.
    """
    total = functional.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORED, reduction="sum")
    number = (labels != IGNORED).sum()
    mean = total / number.clamp_min(1)
    return share_of_mean(mean, number) if across_ranks else mean


def share_of_mean(mean: Tensor, number: Tensor | int) -> Tensor:
    """This rank's part of a mean over all ranks' values, which need not be equally many.

    DDP averages gradients over ranks, so the mean of the parts over the ranks is the mean over all values.

    Args:
        mean: Over this rank's values.
        number: Number of them.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return mean
    total = number.clone() if isinstance(number, Tensor) else torch.full((), number, device=mean.device)
    distributed.all_reduce(total)
    return mean * number * distributed.get_world_size() / total.clamp_min(1)


def soft_dice_loss(logits: Tensor, labels: Tensor, across_ranks: bool = False) -> Tensor:
    """1 - mean soft Dice over the foreground classes that occur in the batch.

    Args:
        logits: (..., class).
        labels: (...) int64.
        across_ranks: With DDP, take the sums over the global batch; all ranks must call at the same time.
    """
    classes = logits.shape[-1]
    labels = labels.flatten()
    # masked in place of selected: how many points are known stays on the device
    probabilities = torch.where((labels != IGNORED)[:, None], logits.softmax(-1).flatten(0, -2), 0)
    reference = (labels[:, None] == torch.arange(classes, device=labels.device)).to(probabilities.dtype)
    sums = torch.stack([(probabilities * reference).sum(0), probabilities.sum(0), reference.sum(0)])[:, 1:]
    if across_ranks and distributed.is_available() and distributed.is_initialized():
        sums = distributed_functional.all_reduce(sums)
    both, predicted, present = sums
    dice = (2 * both + SMOOTH) / (predicted + present + SMOOTH)
    occurs = present > 0
    mean = torch.where(occurs, dice, 0).sum() / occurs.sum().clamp_min(1)
    return occurs.any().to(dice.dtype) - mean  # 0 where none occurs


def displacement_length(displacement: Tensor) -> Tensor:
    """LD: mean Euclidean length of the displacements (..., 3), box units; its gradient at zero is zero."""
    return torch.linalg.vector_norm(displacement.float(), dim=-1).mean()


def hard_counts(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """True positives, false positives and false negatives of each foreground class: (class - 1,) each."""
    classes = logits.shape[-1]
    labels, predicted = labels.flatten(), logits.argmax(-1).flatten()
    places = labels.clamp_min(0) * classes + predicted
    confusion = torch.zeros(classes**2, dtype=torch.int64, device=labels.device)
    confusion.index_add_(0, places, (labels != IGNORED).long())
    confusion = confusion.reshape(classes, classes)
    tp = confusion.diagonal()
    return tp[1:], (confusion.sum(0) - tp)[1:], (confusion.sum(1) - tp)[1:]

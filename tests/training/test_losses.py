import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from impulse_nnunet.network import PointPrediction
from impulse_nnunet.settings import LossSettings
from impulse_nnunet.training.losses import cross_entropy, displacement_length, hard_counts, point_loss, soft_dice_loss
from impulse_nnunet.training.points import IGNORED

# four points, two classes; logits are logs of probabilities, so the softmax gives these back
FOREGROUND = torch.tensor([[0.9, 0.2], [0.6, 0.1]])
LOGITS = torch.stack([1 - FOREGROUND, FOREGROUND], -1).log()
LABELS = torch.tensor([[1, 0], [1, IGNORED]])


def test_dice_by_hand():
    # the three counted points: both 0.9 + 0.6 = 1.5, predicted 0.9 + 0.2 + 0.6 = 1.7, present 2
    assert soft_dice_loss(LOGITS, LABELS).item() == pytest.approx(1 - 2 * 1.5 / (1.7 + 2), abs=1e-5)


def test_cross_entropy_by_hand():
    expected = -(math.log(0.9) + math.log(0.8) + math.log(0.6)) / 3
    assert cross_entropy(LOGITS, LABELS).item() == pytest.approx(expected)


def test_cross_entropy_is_torchs():
    logits, labels = torch.randn(2, 50, 5), torch.randint(0, 5, (2, 50))
    expected = functional.cross_entropy(logits.transpose(1, 2), labels)
    torch.testing.assert_close(cross_entropy(logits, labels), expected)


def test_terms_are_weighted():
    displacement = torch.zeros(2, 2, 3)
    displacement[0, 0] = torch.tensor([0.3, 0.4, 0])  # length 0.5; mean over four points 0.125
    loss = point_loss(PointPrediction(LOGITS, displacement), LABELS, LossSettings(2.0, 3.0, 5.0))
    entropy = -(math.log(0.9) + math.log(0.8) + math.log(0.6)) / 3
    assert loss.item() == pytest.approx(2 * entropy + 3 * (1 - 3 / 3.7) + 5 * 0.125, abs=1e-4)


def test_ignored_points_have_no_influence():
    logits = LOGITS.clone()
    logits[1, 1] = torch.tensor([50.0, -50])
    logits.requires_grad_()
    for term in (soft_dice_loss, cross_entropy):
        assert term(logits, LABELS).item() == pytest.approx(term(LOGITS, LABELS).item())
        (gradient,) = torch.autograd.grad(term(logits, LABELS), logits)
        assert torch.count_nonzero(gradient[1, 1]) == 0
        assert torch.count_nonzero(gradient[0, 0]) > 0


def test_classes_that_do_not_occur_do_not_count():
    # class 2 is predicted with 0.3 but nowhere present; class 1: both 0.5, predicted 0.5 + 0.1, present 1
    logits = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]]).log()
    assert soft_dice_loss(logits, torch.tensor([1, 0])).item() == pytest.approx(1 - 1 / 1.6, abs=1e-4)


def test_dice_is_of_the_whole_batch():
    logits, labels = torch.randn(4, 9, 3), torch.randint(0, 3, (4, 9))
    torch.testing.assert_close(soft_dice_loss(logits, labels), soft_dice_loss(logits.flatten(0, 1), labels.flatten()))


def test_without_foreground_dice_is_zero_with_a_gradient():
    logits = torch.randn(5, 3, requires_grad=True)
    loss = soft_dice_loss(logits, torch.zeros(5, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0
    assert torch.count_nonzero(logits.grad) == 0


@pytest.mark.parametrize("term", [soft_dice_loss, cross_entropy])
def test_a_batch_of_ignored_points_gives_no_loss_and_no_gradient(term):
    logits = torch.randn(2, 5, 3, requires_grad=True)
    loss = term(logits, torch.full((2, 5), IGNORED))
    loss.backward()
    assert loss.item() == 0
    assert torch.count_nonzero(logits.grad) == 0


def test_perfect_predictions_cost_nothing():
    labels = torch.tensor([0, 1, 2, 1])
    logits = 100.0 * functional.one_hot(labels, 3)
    assert soft_dice_loss(logits, labels).item() == pytest.approx(0, abs=1e-5)
    assert cross_entropy(logits, labels).item() == pytest.approx(0, abs=1e-5)


def test_length_of_displacements_by_hand():
    displacement = torch.tensor([[[3.0, 4, 0], [0, 0, 0]], [[0, 0, 1], [2, 0, 0]]])
    assert displacement_length(displacement).item() == pytest.approx((5 + 0 + 1 + 2) / 4)


def test_length_has_a_finite_gradient_at_zero():
    displacement = torch.zeros(1, 4, 3, requires_grad=True)
    displacement_length(displacement).backward()
    assert torch.count_nonzero(displacement.grad) == 0


def test_hard_counts_by_hand():
    labels = torch.tensor([0, 0, 1, 1, 1, 2, IGNORED, 2])
    predicted = torch.tensor([0, 1, 1, 2, 1, 2, 1, 0])
    tp, fp, fn = hard_counts(functional.one_hot(predicted, 4).float(), labels)
    # class 1: points 2 and 4 right, point 1 too many, point 3 missed; class 2: 5 right, 3 too many, 7 missed; no 3
    assert tp.tolist() == [2, 1, 0]
    assert fp.tolist() == [1, 1, 0]
    assert fn.tolist() == [1, 1, 0]


@pytest.mark.parametrize("ignored_share", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_losses_and_counts_as_numpy_selects_points(seed, ignored_share):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 7))
    logits = rng.normal(size=(3, 50, classes)) * 3
    labels = rng.integers(0, max(1, classes - 1), (3, 50))  # the last class never occurs
    labels[rng.random(labels.shape) < ignored_share] = IGNORED
    known = labels != IGNORED
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    tp, fp, fn = (counts.tolist() for counts in hard_counts(torch.tensor(logits), torch.tensor(labels)))
    dice = []
    for label in range(1, classes):
        p, r, hit = probabilities[known][:, label], labels[known] == label, logits[known].argmax(-1) == label
        assert (tp[label - 1], fp[label - 1], fn[label - 1]) == ((hit & r).sum(), (hit & ~r).sum(), (~hit & r).sum())
        if r.any():
            dice.append((2 * p[r].sum() + 1e-5) / (p.sum() + r.sum() + 1e-5))
    expected = 1 - np.mean(dice) if dice else 0.0
    values = torch.tensor(logits, dtype=torch.float32)
    assert soft_dice_loss(values, torch.tensor(labels)).item() == pytest.approx(expected, abs=1e-6)
    likelihood = np.take_along_axis(probabilities[known], labels[known][:, None], 1)
    expected = -np.log(likelihood).mean() if known.any() else 0.0
    assert cross_entropy(values, torch.tensor(labels)).item() == pytest.approx(expected, abs=1e-6)

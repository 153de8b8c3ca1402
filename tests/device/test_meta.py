"""Code that is the same on every device, on one without memory: it makes no tensors elsewhere."""

import numpy as np
import pytest
import torch

from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.geometry.coordinates import grid_points, sample_points, voxel_centres
from impulse_nnunet.geometry.resampling import image_on_box
from impulse_nnunet.geometry.working_volume import linear_weights, to_working_volume
from impulse_nnunet.network import PointPrediction
from impulse_nnunet.settings import LossSettings
from impulse_nnunet.training.losses import cross_entropy, displacement_length, hard_counts, point_loss, soft_dice_loss

META = torch.device("meta")
LOGITS = torch.empty(2, 7, 4, device=META)
LABELS = torch.empty(2, 7, dtype=torch.int64, device=META)
MOVED = torch.empty(2, 7, 3, device=META)
VOLUME = torch.empty(2, 3, 4, 5, 6, device=META)

RESULTS = {
    "centres": (lambda: voxel_centres(5, device=META), (5,)),
    "grid": (lambda: grid_points((2, 3, 4), device=META), (2, 3, 4, 3)),
    "samples": (lambda: sample_points(VOLUME, MOVED), (2, 3, 7)),
    "image": (lambda: image_on_box(VOLUME[0].half(), Box(np.eye(3), np.zeros(3)), (4, 6, 8)), (3, 4, 6, 8)),
    "weights": (lambda: linear_weights(9, 4, META), (4, 9)),
    "working volume": (lambda: to_working_volume(VOLUME[0], (2, 3, 9)), (3, 2, 3, 6)),
    "cross-entropy": (lambda: cross_entropy(LOGITS, LABELS), ()),
    "Dice": (lambda: soft_dice_loss(LOGITS, LABELS), ()),
    "length": (lambda: displacement_length(MOVED), ()),
    "loss": (lambda: point_loss(PointPrediction(LOGITS, MOVED), LABELS, LossSettings()), ()),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_stay_where_their_arguments_are(name):
    make, shape = RESULTS[name]
    result = make()
    assert result.device == META
    assert tuple(result.shape) == shape


def test_counts_stay_there_too():
    assert [(count.device.type, tuple(count.shape)) for count in hard_counts(LOGITS, LABELS)] == [("meta", (3,))] * 3

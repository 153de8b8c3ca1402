"""Label decoding on a device copies to main memory once, when all labels are there (counted on the CPU, same code)."""

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from impulse_nnunet.decoding import OutputGrid
from impulse_nnunet.decoding.device_volumes import Engine, device_labels
from impulse_nnunet.geometry.boxes import Box
from tests.decoding.device_cases import TURNED, dense_member, member, plain_box

LEAVES = {torch.Tensor.cpu, torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.__array__}
WAITS = {torch.Tensor.item, torch.Tensor.__bool__, torch.Tensor.__int__, torch.Tensor.__float__, torch.nonzero}
BLOCK = 2  # points: parts of 128 voxels
GRID = OutputGrid.native((6, 7, 8))


class Transfers(TorchFunctionMode):
    """Notes calls that bring values to main memory, and those that wait for one."""

    def __init__(self):
        super().__init__()
        self.left, self.waited = [], []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in LEAVES:
            self.left.append((function.__name__, tuple(args[0].shape)))
        if function in WAITS:
            self.waited.append(function.__name__)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("box", [Box.whole(), TURNED], ids=["upright", "turned"])
@pytest.mark.parametrize("folds", [1, 3])
@pytest.mark.parametrize("make", [member, dense_member], ids=["points", "dense"])
def test_labels_leave_the_device_once(make, folds, box):
    encoded = plain_box([make(classes=4, seed=seed) for seed in range(folds)], box)
    with Transfers() as transfers:
        labels = device_labels(encoded, GRID, BLOCK, Engine(kernel=False))
    assert transfers.left == [("cpu", GRID.shape), ("numpy", GRID.shape)]
    assert len(transfers.waited) <= folds * GRID.shape[0] * GRID.shape[1]  # a part at most, to choose its precision
    assert labels.dtype == np.uint8
    assert labels.shape == GRID.shape


def test_a_fold_is_waited_for_once():
    encoded = plain_box([member(classes=4)], Box.whole())
    with Transfers() as transfers:
        device_labels(encoded, GRID, BLOCK, Engine(kernel=False))
    assert transfers.waited == ["__bool__"]  # whether its levels fit into float16

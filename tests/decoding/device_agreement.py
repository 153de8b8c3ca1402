"""What holds of the device path, whichever engine evaluates; the two test modules hand theirs in."""

import numpy as np
import torch

from impulse_nnunet.decoding.device_volumes import Engine, device_displacement, device_labels, device_logits
from tests.decoding.device_cases import BOXES, GRID, check, dense_member, expected, member, plain_box

EXACT = 1e-5
# float16 keeps 11 bits; a norm over few values that are all small, and steep templates, magnify what is lost
HALF_MEAN, HALF_LARGEST = 1e-3, 5e-2


def agrees(kernel, members, box="part", storage=torch.float32, grid=GRID, block=3):
    """Labels, logits and displacement are those of the network's own decoder."""
    encoded, engine = plain_box(members, BOXES[box]), Engine(kernel, storage)
    logits, moved = expected(members, BOXES[box], grid)
    for found, known in (
        (device_logits(encoded, grid, block, engine), logits),
        (device_displacement(encoded, grid, block, engine), moved),
    ):
        off = np.abs(found - known)
        assert off.max() <= (EXACT * max(1, np.abs(known).max()) if storage == torch.float32 else HALF_LARGEST)
        assert off.mean() <= HALF_MEAN
    labels = device_labels(encoded, grid, block, engine)
    assert labels.shape == grid.shape
    assert labels.dtype == (np.uint8 if len(logits) <= 255 else np.uint16)
    check(labels, logits, 1e-3 if storage == torch.float32 else HALF_LARGEST)
    assert (engine.kernel is not None) == kernel  # nothing fell back


def dense_agrees(kernel):
    agrees(kernel, [dense_member()], block=10)
    agrees(kernel, [dense_member(), dense_member(seed=1)], "turned", block=10)


def ensembles_agree(kernel, box="part", grid=GRID):
    agrees(kernel, [member(seed=0), member(seed=1)], box, grid=grid)
    agrees(kernel, [member(seed=seed, classes=19) for seed in range(3)], box, grid=grid, block=10**4)

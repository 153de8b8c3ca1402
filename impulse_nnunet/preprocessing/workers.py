"""How many cases can be in work at a time: no more than fit into the memory that is free."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.grid import read_file_grid
from impulse_nnunet.training.memory import available_bytes

BYTES_PER_VOXEL = 20  # measured with one channel: reading 11, survey 11, fingerprint 13, preprocessing 20
BYTES_PER_FURTHER_CHANNEL = 8
SHARE = 0.8  # of the free memory

logger = logging.getLogger(__name__)


def affordable_workers(asked: int, dataset: Mapping[str, Mapping[str, Any]], channels: int) -> int:
    """As many workers as asked for, or as the largest case leaves room for; the log says so where it is fewer.

    Args:
        asked: Workers.
        dataset: Case identifier -> {"images": files, ...}, as nnU-Net lists it.
        channels: Of the images.
    """
    asked = max(1, asked)
    sizes = {case: _voxels(entry["images"]) for case, entry in dataset.items()} if asked > 1 else {}
    largest = max(sizes, key=lambda case: sizes[case], default=None)
    if largest is None:
        return asked
    needed = sizes[largest] * (BYTES_PER_VOXEL + BYTES_PER_FURTHER_CHANNEL * (channels - 1))
    free = available_bytes()
    fitting = max(1, int(SHARE * free // max(1, needed)))
    if fitting < asked:
        text = "%d case(s) at a time in place of %d: %s takes up to %.1f GB, and %.1f GB are free"
        logger.info(text, fitting, asked, largest, needed / 1e9, free / 1e9)
    return min(asked, fitting)


def _voxels(files: list[str]) -> int:
    """Of the first channel, by its header; 0 where it cannot be read, which others say."""
    try:
        x, y, z = read_file_grid(files[0]).size
    except (InputError, IndexError):
        return 0
    return x * y * z

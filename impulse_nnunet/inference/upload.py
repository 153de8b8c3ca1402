"""Images on their way to the device: once for each case, from pinned memory where the device is a GPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from impulse_nnunet.geometry.working_volume import to_working_volume
from impulse_nnunet.network.precision import full_precision
from impulse_nnunet.runtime.device_errors import is_out_of_memory

logger = logging.getLogger(__name__)


def uploaded(image: Tensor, device: torch.device) -> Tensor:
    """An image on a device; on its way to a GPU through pinned memory, which PyTorch keeps for the next one."""
    if image.device.type != "cpu" or device.type != "cuda":
        return image.to(device)
    return image.pin_memory().to(device, non_blocking=True)


def working_volume_on(device: torch.device, image: Tensor, working_grid: Sequence[int]) -> Tensor:
    """The working volume (channel, d, h, w) float16 of a native image, reduced on a GPU if that is the device.

    One channel at a time is uploaded, so that a native image of several channels need not fit. Where one does not fit
    the CPU reduces it.
    """
    if device.type != "cuda":
        return to_working_volume(image, working_grid)
    try:
        with full_precision(device):
            return torch.cat([to_working_volume(uploaded(part, device), working_grid) for part in image.split(1)])
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        logger.debug("the native image does not fit on %s: reduced on the CPU", device)
    torch.cuda.empty_cache()
    return to_working_volume(image, working_grid)

"""Features that are no finite numbers: refused, for they would become background without a word."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impulse_nnunet.errors import InputError

USUAL_INTENSITY = 1000.0  # beyond it a normalised image is suspect: nnU-Net's have a standard deviation near 1


def check_features(pyramids: Sequence[Sequence[Tensor]], volume: Tensor, case: str) -> None:
    """Refuse pyramids with NaN or infinite values; one wait for the device, whatever their number.

    Args:
        pyramids: Pyramids of the folds, feature maps of any shape.
        volume: (channel, d, h, w) what they were made from; looked at only where something is wrong.
        case: Identifier.

    Raises:
        InputError: Some values are no finite numbers.
    """
    if all_finite([level for pyramid in pyramids for level in pyramid]):
        return
    lowest, highest = (float(value) for value in torch.aminmax(volume.float().contiguous()))
    if max(abs(lowest), abs(highest)) <= USUAL_INTENSITY:
        cause = "the image looks sound: check the model's weights, or predict with `device` cpu"
    else:
        cause = "the image is the likely cause: check its intensities, and that it is of the kind that was trained on"
    raise InputError(
        case,
        f"NaN or infinite features (normalised intensities from {lowest:g} to {highest:g})",
        "finite numbers",
        cause,
    )


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether all values are finite: the extremes tell, for NaN passes through them and no sum can overflow."""
    extremes = [extreme.float() for tensor in tensors for extreme in (tensor.amin(), tensor.amax())]
    return bool(torch.stack(extremes).isfinite().all())

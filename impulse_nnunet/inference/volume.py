"""One volume from encoding to its result: what every way to predict calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from torch import Tensor

from impulse_nnunet.decoding import EncodedBox
from impulse_nnunet.inference.encoding import encode_image
from impulse_nnunet.inference.ensemble import Ensemble
from impulse_nnunet.inference.memory import with_less_memory
from impulse_nnunet.settings import ImPulSeSettings

T = TypeVar("T")
Encode: TypeAlias = Callable[[Ensemble, Tensor, ImPulSeSettings, str], EncodedBox]
Decode: TypeAlias = Callable[[EncodedBox, int], T]


def predict_volume(
    ensemble: Ensemble,
    volume: Tensor,
    settings: ImPulSeSettings,
    decode: Decode[T],
    case: str = "image",
    encode: Encode = encode_image,
) -> T:
    """Encode a volume and decode it, again with less memory where that is too much.

    Args:
        ensemble: The networks, on the device of choice.
        volume: What ``encode`` takes: by default a native image (channel, d, h, w), normalised.
        settings: Settings of the plans.
        decode: Makes the result from the encoded volume and the number of points to decode at once.
        case: Identifier, for the log and messages.
        encode: :func:`~impulse_nnunet.inference.encoding.encode_image`, or one that takes another kind of volume.

    Raises:
        InputError: As ``encode``; or the smallest block on the CPU takes too much memory.
        DeviceLostError: CUDA has failed for good.
    """

    def work(place: Ensemble, reduced: ImPulSeSettings) -> T:
        return decode(encode(place, volume, reduced, case), reduced.inference.block_points)

    return with_less_memory(ensemble, settings, case, work)

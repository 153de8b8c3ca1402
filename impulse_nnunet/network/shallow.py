"""Convolutions that a CPU's library gets wrong in training: the kernel reaches past a volume no longer than itself.

On CPUs with AVX-512 the weight gradient of such a convolution takes in memory beyond its volume: gradients are NaN, or
finite and wrong, most of all in bfloat16 (docs/decisions/0024-bfloat16-on-shallow-volumes.md). Without padding there is
nothing to reach for, so the volume is padded with zeros first. Outputs are right either way, and prediction stays as
it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

logger = logging.getLogger(__name__)


class ShallowPadded(TorchFunctionMode):
    """Pads too shallow a volume with zeros before its convolution, where gradients are wanted.

    The convolution is the same one: values differ by rounding alone. The first of each kernel and volume is logged.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called by PyTorch in place of each of its functions."""
        kwargs = kwargs or {}
        if func is not torch.conv3d or not torch.is_grad_enabled():
            return func(*args, **kwargs)
        return _padded_convolution(*args, **kwargs)


def _padded_convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """``torch.conv3d`` with its parameters; padding in words is left to PyTorch, which pads by itself."""
    kernel, grid = tuple(weight.shape[2:]), tuple(input.shape[2:])
    if not isinstance(padding, str) and is_too_shallow(kernel, grid):
        d, h, w = (padding,) * 3 if isinstance(padding, int) else padding
        if d or h or w:
            _log_once(kernel, grid)
            input, padding = functional.pad(input, (w, w, h, h, d, d)), 0
    return torch.conv3d(input, weight, bias, stride, padding, dilation, groups)


def is_too_shallow(kernel: Sequence[int], grid: Sequence[int]) -> bool:
    """Whether a volume is no longer than its kernel along an axis on which the kernel has more than one tap.

    All failures that were measured are among these, and some convolutions that did not fail: the stride, the padding
    and the dilation do not count, for a margin.

    Args:
        kernel: Taps (d, h, w).
        grid: (d, h, w) of the convolution's input, voxels.
    """
    return any(taps > 1 and voxels <= taps for taps, voxels in zip(kernel, grid, strict=True))


@cache
def _log_once(kernel: tuple[int, ...], grid: tuple[int, ...]) -> None:
    logger.warning(
        "a convolution with a kernel of %s has a volume of %s voxels: it is padded first in training, because "
        "gradients on CPUs can be wrong otherwise",
        _product(kernel),
        _product(grid),
    )


def _product(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))

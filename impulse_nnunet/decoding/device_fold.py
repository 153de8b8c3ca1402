"""One fold made ready for a GPU: first layers applied to every level, channels last (docs/decoding.md, "On a GPU")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from impulse_nnunet.decoding.device_parts import Size
from impulse_nnunet.decoding.folded import centred_weights
from impulse_nnunet.network import Decoder, DenseDecoder, PointDecoder
from impulse_nnunet.network.heads import PointHead

SMALLEST = 16  # columns of a matrix product on a GPU
LARGEST_HALF = 3e4  # largest absolute value that is kept in float16, which ends at 65504


@dataclass(frozen=True, kw_only=True)
class HeadWeights:
    """What a head needs after its first layers; widths are padded with zeros.

    Args:
        by_position: (3, 2 * width) what the first layers, hidden and shortcut, make of a position.
        norms: (4, width): scale and shift of the hidden layer's norm, then of the shortcut's.
        weight: (width, output) of the last layer.
        bias: (output,) of the last layer.
    """

    by_position: Tensor
    norms: Tensor
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, kw_only=True)
class DeviceFold:
    """A decoder and its pyramid on a device.

    Args:
        levels: (node, head * 2 * width) float16 or float32, all levels one after the other; no columns without heads.
        sizes: (d, h, w) of each level.
        template: (node, class) float32, None without template; the logits themselves where nothing else makes them.
        template_size: (d, h, w) of the template.
        table: (level + 1, 4) int32 on the device: d, h, w and first node of each level, then of the template.
        deformation: Its head, three outputs, or None.
        correction: Its head, or None.
        classes: Background included, without padding.
        features: Width of the heads, without padding.
        eps: Epsilon of the norms.
        slope: Slope of the LeakyReLU.
    """

    levels: Tensor
    sizes: tuple[Size, ...]
    template: Tensor | None
    template_size: Size
    table: Tensor
    deformation: HeadWeights | None
    correction: HeadWeights | None
    classes: int
    features: int = 1
    eps: float = 0.0
    slope: float = 0.0

    @property
    def heads(self) -> list[HeadWeights]:
        """Those there are, in the order of their columns in ``levels``."""
        return [head for head in (self.deformation, self.correction) if head is not None]

    @property
    def padded_width(self) -> int:
        """Columns of a hidden layer."""
        return padded(self.features)

    @property
    def padded_classes(self) -> int:
        """Columns of the logits."""
        return padded(self.classes)


def padded(number: int) -> int:
    """The next power of two that a matrix product on a GPU takes."""
    return max(SMALLEST, 1 << (number - 1).bit_length())


def can_fold(decoder: Decoder) -> bool:
    """Whether the decoder's parts are those that :func:`fold_of` knows."""
    if isinstance(decoder, DenseDecoder):
        return True
    heads = [head for head in (decoder.deformation, decoder.correction) if head is not None]
    return all(isinstance(head, PointHead) for head in heads)


@torch.inference_mode()
def fold_of(decoder: Decoder, pyramid: Sequence[Tensor], nodes: int, storage: torch.dtype | None = None) -> DeviceFold:
    """Prepare a fold.

    Args:
        decoder: Decoder of a kind that :func:`can_fold` allows.
        pyramid: Feature maps (1, channel, d, h, w) on the device, finest first, in any precision.
        nodes: That are multiplied at once.
        storage: Storage of the levels; None takes float16 where the values fit.
    """
    classes = decoder.number_of_classes
    if isinstance(decoder, DenseDecoder):
        return _without_heads(pyramid[0], classes)
    heads = [head for head in (decoder.deformation, decoder.correction) if isinstance(head, PointHead)]
    if not heads:
        if decoder.template is None:
            raise TypeError("there is neither head nor template, expected one of them")
        return _without_heads(decoder.template.logits, classes)
    return _with_heads(decoder, heads, pyramid, nodes, storage)


def _without_heads(logits: Tensor, classes: int) -> DeviceFold:
    values, size = _rows(logits, padded(classes)), _size(logits)
    table = _table([], size, values.device)
    return DeviceFold(
        levels=values.new_empty(0, 0),
        sizes=(),
        template=values,
        template_size=size,
        table=table,
        deformation=None,
        correction=None,
        classes=classes,
    )


def _with_heads(
    decoder: PointDecoder,
    heads: Sequence[PointHead],
    pyramid: Sequence[Tensor],
    nodes: int,
    storage: torch.dtype | None,
) -> DeviceFold:
    features, classes = heads[0].last.in_features, decoder.number_of_classes
    width = padded(features)
    weights = centred_weights(heads)
    columns = functional.pad(weights.unflatten(1, (-1, features)), (0, width - features)).flatten(1)
    *by_level, by_position = columns.split([*(level.shape[1] for level in pyramid), 3])
    made = iter(by_position.split(2 * width, dim=1))
    deformation = None if decoder.deformation is None else _head(heads[0], next(made), width, 3)
    correction = None if decoder.correction is None else _head(heads[-1], next(made), width, padded(classes))
    sizes = tuple(_size(level) for level in pyramid)
    template = None if decoder.template is None else decoder.template.logits
    template_size = sizes[0] if template is None else _size(template)
    return DeviceFold(
        levels=_projected(pyramid, by_level, nodes, storage),
        sizes=sizes,
        template=None if template is None else _rows(template, padded(classes)),
        template_size=template_size,
        table=_table(sizes, template_size, columns.device),
        deformation=deformation,
        correction=correction,
        classes=classes,
        features=features,
        eps=heads[0].norms[0].eps,
        slope=heads[0].negative_slope,
    )


def _head(head: PointHead, by_position: Tensor, width: int, outputs: int) -> HeadWeights:
    extra, more = width - head.last.in_features, outputs - head.last.out_features
    parts = [parameter.float() for norm in head.norms for parameter in (norm.weight, norm.bias)]
    weight = functional.pad(head.last.weight.float().T, (0, more, 0, extra))
    norms, bias = functional.pad(torch.stack(parts), (0, extra)), functional.pad(head.last.bias.float(), (0, more))
    return HeadWeights(
        by_position=by_position.contiguous(),
        norms=norms.contiguous(),
        weight=weight.contiguous(),
        bias=bias.contiguous(),
    )


def _projected(pyramid: Sequence[Tensor], weights: Sequence[Tensor], nodes: int, storage: torch.dtype | None) -> Tensor:
    """(node, output) of all levels; float32 where float16 is too small for a value."""
    kind = storage or torch.float16
    total = sum(level[0, 0].numel() for level in pyramid)
    result = torch.empty(total, weights[0].shape[1], dtype=kind, device=weights[0].device)
    largest, start = weights[0].new_zeros(()), 0
    for level, weight in zip(pyramid, weights, strict=True):
        channels = level[0].flatten(1)  # a view, whatever the memory's order
        for first in range(0, channels.shape[1], nodes):
            values = channels[:, first : first + nodes].T.float() @ weight
            largest = torch.maximum(largest, values.abs().amax())
            result[start + first : start + first + len(values)] = values
        start += channels.shape[1]
    if storage is None and not bool(largest <= LARGEST_HALF):  # NaN included
        del result
        return _projected(pyramid, weights, nodes, torch.float32)
    return result


def _rows(volume: Tensor, columns: int) -> Tensor:
    """(node, column) float32 of a volume (1, channel, d, h, w), zeros beyond its channels."""
    channels = volume[0].flatten(1)
    result = torch.zeros(channels.shape[1], columns, device=volume.device)
    result[:, : len(channels)] = channels.T
    return result


def _table(sizes: Sequence[Size], template: Size, device: torch.device) -> Tensor:
    rows, start = [], 0
    for d, h, w in sizes:
        rows.append([d, h, w, start])
        start += d * h * w
    return torch.tensor([*rows, [*template, 0]], dtype=torch.int32, device=device)


def _size(level: Tensor) -> Size:
    d, h, w = level.shape[2:]
    return d, h, w

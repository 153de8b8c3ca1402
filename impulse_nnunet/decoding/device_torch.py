"""Parts of a grid in plain PyTorch, on any device: where Triton is missing, and to compare with (docs/decoding.md)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from impulse_nnunet.decoding.device_fold import DeviceFold, HeadWeights
from impulse_nnunet.decoding.device_parts import GridPart, Placement, Size, Target, parts_of
from impulse_nnunet.network import Decoder

BATCH = 4  # voxels whose hidden values are held at once, for each point of the plans' block

Axes = tuple[Tensor, Tensor, Tensor]


def evaluate(fold: DeviceFold, placement: Placement, part: GridPart, target: Target, block_points: int) -> None:
    """Decode a part of a grid; see :func:`impulse_nnunet.decoding.device_kernel.evaluate`."""
    device = fold.table.device
    for piece in parts_of(part, BATCH * block_points):
        axes = _axes(placement, piece)
        points, inside = _points(axes, device)
        if not fold.heads:
            logits, moved = torch.zeros(piece.voxels, fold.padded_classes, device=device), torch.zeros_like(points)
        else:
            columns = _interpolated(fold, placement, axes, points)
            logits, moved = _from_hidden(fold, columns, points)
        if fold.template is not None:
            add_gathered(logits, fold.template, fold.template_size, points + moved)
        write(logits[:, : fold.classes], moved, inside, piece, part, target)


@torch.inference_mode()
def evaluate_plain(
    decoder: Decoder, pyramid: Sequence[Tensor], placement: Placement, part: GridPart, target: Target, block_points: int
) -> None:
    """The same with the network's own decoder, for heads that cannot be folded."""
    levels = [level.float() for level in pyramid]
    for piece in parts_of(part, BATCH * block_points):
        points, inside = _points(_axes(placement, piece), levels[0].device)
        prediction = decoder(levels, points[None])
        write(prediction.logits[0].float(), prediction.displacement[0].float(), inside, piece, part, target)


def write(logits: Tensor, moved: Tensor, inside: Tensor, piece: GridPart, part: GridPart, target: Target) -> None:
    """Write the results (voxel, ...) of a piece of a part; outside the box background, and no displacement."""
    place, shape = piece.within(part).slices, piece.extent
    if target.displacement is not None:
        value = moved * target.share
        value = value + target.displacement[place].reshape(-1, 3) if target.adds else value
        target.displacement[place] = torch.where(inside[:, None], value, 0.0).reshape(*shape, 3)
    if target.labels is None and target.logits is None:
        return
    value = logits * target.share
    if target.logits is not None:
        value = value + target.logits[place].reshape(value.shape) if target.adds else value
        outside = torch.full((value.shape[1],), -30.0, device=value.device)
        outside[0] = 0
        target.logits[place] = torch.where(inside[:, None], value, outside).reshape(*shape, -1)
    if target.labels is not None:
        best = torch.where(inside, first_largest(value), 0)
        target.labels[piece.slices] = best.reshape(shape).to(target.labels.dtype)


def first_largest(logits: Tensor) -> Tensor:
    """Index of the largest value of each row, the first of equals (``argmax`` takes any of them on a GPU)."""
    classes = logits.shape[1]
    columns = torch.arange(classes, device=logits.device)
    best = torch.where(logits == logits.amax(1, keepdim=True), columns, classes).amin(1)
    return torch.where(best < classes, best, 0)


def _axes(placement: Placement, piece: GridPart) -> list[np.ndarray]:
    """What each index along each axis adds to a position: three of (n, 3) float64, the offset in the first."""
    parts = [
        np.arange(low, low + n)[:, None] * placement.to_box[:, axis]
        for axis, (low, n) in enumerate(zip(piece.lower, piece.extent, strict=True))
    ]
    parts[0] = parts[0] + placement.to_box[:, 3]
    return parts


def _points(axes: Sequence[np.ndarray], device: torch.device) -> tuple[Tensor, Tensor]:
    """Positions (voxel, 3) float32, and which lie in the box."""
    kind = torch.float32 if device.type == "mps" else torch.float64  # there is no float64 there
    z, y, x = (torch.from_numpy(axis).to(kind).to(device) for axis in axes)
    exact = (z[:, None, None] + y[None, :, None] + x[None, None]).reshape(-1, 3)
    return exact.float(), (exact.abs() <= 1).all(1)


def _interpolated(fold: DeviceFold, placement: Placement, axes: Sequence[np.ndarray], points: Tensor) -> Tensor:
    """Outputs (voxel, head * 2 * width) of the first layers, without what they make of the position."""
    columns = torch.zeros(len(points), fold.levels.shape[1], device=points.device)
    start = 0
    for size in fold.sizes:
        values = fold.levels[start : start + size[0] * size[1] * size[2]]
        start += len(values)
        if placement.upright:
            columns += _along_axes(values.reshape(*size, -1), axes)
        else:
            add_gathered(columns, values, size, points)
    return columns


def _along_axes(values: Tensor, axes: Sequence[np.ndarray]) -> Tensor:
    """Tri-linear values (voxel, column) on an upright grid, one axis after the other."""
    for axis in range(3):
        position = axes[axis][:, axis] + (axes[0][0, axis] if axis else 0)
        count = values.shape[axis]
        place = np.clip(((position + 1) * count - 1) / 2, 0, count - 1)
        node = np.minimum(place.astype(np.int64), max(count - 2, 0))
        lower = torch.from_numpy(node).to(values.device)
        upper = torch.from_numpy(np.minimum(node + 1, count - 1)).to(values.device)
        share = torch.from_numpy((place - node).astype(np.float32)).to(values.device)
        share = share.reshape([-1 if a == axis else 1 for a in range(4)])
        values = torch.lerp(values.index_select(axis, lower).float(), values.index_select(axis, upper).float(), share)
    return values.reshape(-1, values.shape[3])


def add_gathered(result: Tensor, values: Tensor, size: Size, points: Tensor) -> None:
    """Add the tri-linear values (node, column) of a volume at positions (n, 3) to ``result`` (n, column)."""
    counts = torch.tensor(size, dtype=torch.float32, device=points.device)
    place = torch.minimum((((points + 1) * counts - 1) * 0.5).nan_to_num().clamp(min=0), counts - 1)
    node = torch.minimum(place.long(), (counts.long() - 2).clamp(min=0))
    step, share = (counts.long() - 1 - node).clamp(max=1), place - node
    for corner in range(8):
        chosen = torch.tensor([corner >> 2 & 1, corner >> 1 & 1, corner & 1], device=points.device)
        z, y, x = (node + step * chosen).unbind(1)
        weight = torch.where(chosen.bool(), share, 1 - share).prod(1)
        result.addcmul_(values[(z * size[1] + y) * size[2] + x].float(), weight[:, None])


def _from_hidden(fold: DeviceFold, columns: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (n, padded class) of the correction and displacement (n, 3), zero where there is no such head."""
    parts = iter(columns.split(2 * fold.padded_width, dim=1))
    moved = torch.zeros_like(points)
    if fold.deformation is not None:
        moved = torch.tanh(_head(fold, fold.deformation, next(parts), points))
    if fold.correction is None:
        return torch.zeros(len(points), fold.padded_classes, device=points.device), moved
    return _head(fold, fold.correction, next(parts), points), moved


def _head(fold: DeviceFold, head: HeadWeights, columns: Tensor, points: Tensor) -> Tensor:
    hidden, shortcut = torch.addmm(columns, points, head.by_position).chunk(2, dim=1)
    active = functional.leaky_relu(_normed(fold, hidden, head.norms[:2]), fold.slope)
    return torch.addmm(head.bias, active + _normed(fold, shortcut, head.norms[2:]), head.weight)


def _normed(fold: DeviceFold, values: Tensor, norms: Tensor) -> Tensor:
    variance = values.square().sum(1, keepdim=True) / fold.features
    return values * torch.rsqrt(variance + fold.eps) * norms[0] + norms[1]

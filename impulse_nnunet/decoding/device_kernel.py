"""One Triton kernel from voxel indices to labels (docs/decoding.md, "On a GPU"); import it only where Triton is.

A program treats a small block of neighbouring voxels, so that the nodes they share come from the cache, and one head
after the other, so that its accumulators stay in registers. Names in lower case that end up as ``constexpr`` are
compiled in; sizes of grids and levels are not, so that a data set is compiled once.
"""

from __future__ import annotations

import subprocess
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from impulse_nnunet.decoding.device_fold import DeviceFold
from impulse_nnunet.decoding.device_parts import GridPart, Placement, Size, Target

TILE: Size = (4, 4, 4)  # voxels of a program; powers of two
WARPS = 8  # of 32 threads, for each program; 128 registers a thread at the sizes of the paper
LARGEST = 8192  # values that a program accumulates; more do not fit its registers
FEWEST = 16  # rows of a matrix product

# what a missing compiler, an old device or too little shared memory raise; RuntimeError also holds CUDA's own errors
ERRORS = (triton.TritonError, RuntimeError, OSError, subprocess.CalledProcessError)


@triton.jit
def _axis(position: tl.tensor, size: tl.tensor):  # type: ignore[no-untyped-def]
    """Lower of the two nodes beside a position, the step to the upper one, and that one's share; the border repeats."""
    place = ((position + 1.0) * size - 1.0) * 0.5
    place = tl.minimum(tl.maximum(place, 0.0), size - 1.0)
    node = tl.minimum(place.to(tl.int32), tl.maximum(size - 2, 0))
    return node, tl.minimum(size - 1 - node, 1), place - node.to(tl.float32)


@triton.jit
def _node(corner: tl.constexpr, first, up_z, up_y, up_x):  # type: ignore[no-untyped-def]
    """One of the eight nodes around a voxel, from the lowest; the bits of ``corner`` are z, y, x."""
    node = first + up_z if corner & 4 else first
    node = node + up_y if corner & 2 else node
    return node + up_x if corner & 1 else node


@triton.jit
def _share(corner: tl.constexpr, share_z, share_y, share_x):  # type: ignore[no-untyped-def]
    """Tri-linear weight of that node, from the shares of the upper nodes along the axes."""
    weight = share_z if corner & 4 else 1.0 - share_z
    weight *= share_y if corner & 2 else 1.0 - share_y
    return weight * (share_x if corner & 1 else 1.0 - share_x)


@triton.jit
def _positions(to_box, z, y, x, axis: tl.constexpr):  # type: ignore[no-untyped-def]
    """Box position along an axis, float64: what decides which side of a face a voxel lies on."""
    row = to_box + 4 * axis
    return tl.load(row) * z + tl.load(row + 1) * y + tl.load(row + 2) * x + tl.load(row + 3)


@triton.jit
def _add_level(hidden, shortcut, levels, table, z, y, x, columns, outputs: tl.constexpr, width: tl.constexpr):  # type: ignore[no-untyped-def]
    """Add the eight nodes of a level around each voxel to the outputs of both first layers of a head."""
    depth, height, across = tl.load(table), tl.load(table + 1), tl.load(table + 2)
    iz, up_z, share_z = _axis(z, depth)
    iy, up_y, share_y = _axis(y, height)
    ix, up_x, share_x = _axis(x, across)
    first = tl.load(table + 3) + (iz * height + iy) * across + ix
    for corner in tl.static_range(8):
        node = _node(corner, first, up_z * height * across, up_y * across, up_x)
        weight = _share(corner, share_z, share_y, share_x)
        rows = levels + node.to(tl.int64)[:, None] * outputs + columns[None, :]
        hidden += weight[:, None] * tl.load(rows).to(tl.float32)
        shortcut += weight[:, None] * tl.load(rows + width).to(tl.float32)
    return hidden, shortcut


@triton.jit
def _by_position(weights, z, y, x, columns, width: tl.constexpr):  # type: ignore[no-untyped-def]
    """What a first layer makes of the position itself."""
    value = z[:, None] * tl.load(weights + columns)[None, :]
    value += y[:, None] * tl.load(weights + 2 * width + columns)[None, :]
    return value + x[:, None] * tl.load(weights + 4 * width + columns)[None, :]


@triton.jit
def _normed(values, norms, columns, features: tl.constexpr, width: tl.constexpr, eps):  # type: ignore[no-untyped-def]
    """Layer norm of values (voxel, width) whose mean is zero."""
    inverse = 1.0 / tl.sqrt(tl.sum(values * values, 1) / features + eps)
    scale, shift = tl.load(norms + columns), tl.load(norms + width + columns)
    return values * inverse[:, None] * scale[None, :] + shift[None, :]


@triton.jit
def _active(  # type: ignore[no-untyped-def]
    levels,
    table,
    weights,
    norms,
    z,
    y,
    x,
    eps,
    slope,
    first: tl.constexpr,
    level_count: tl.constexpr,
    outputs: tl.constexpr,
    features: tl.constexpr,
    width: tl.constexpr,
):
    """Hidden values (voxel, width) of a head; its columns in ``levels`` start at ``first``."""
    columns = tl.arange(0, width)
    hidden = _by_position(weights, z, y, x, columns, width)
    shortcut = _by_position(weights + width, z, y, x, columns, width)
    for level in range(level_count):
        hidden, shortcut = _add_level(
            hidden, shortcut, levels + first, table + 4 * level, z, y, x, columns, outputs, width
        )
    value = _normed(hidden, norms, columns, features, width, eps)
    value = tl.where(value > 0, value, slope * value)
    return value + _normed(shortcut, norms + 2 * width, columns, features, width, eps)


@triton.jit
def _moved(active, weight, bias, columns, axis: tl.constexpr):  # type: ignore[no-untyped-def]
    """Displacement (voxel,) along an axis: the hyperbolic tangent of the last layer, without overflow."""
    value = tl.sum(active * tl.load(weight + 3 * columns + axis)[None, :], 1) + tl.load(bias + axis)
    small = tl.exp(-2.0 * tl.abs(value))
    size = (1.0 - small) / (1.0 + small)
    return tl.where(value < 0, -size, size)


@triton.jit
def _add_template(logits, template, table, z, y, x, columns, padded: tl.constexpr):  # type: ignore[no-untyped-def]
    """Add the template at positions to logits (voxel, class)."""
    depth, height, across = tl.load(table), tl.load(table + 1), tl.load(table + 2)
    iz, up_z, share_z = _axis(z, depth)
    iy, up_y, share_y = _axis(y, height)
    ix, up_x, share_x = _axis(x, across)
    first = (iz * height + iy) * across + ix
    for corner in tl.static_range(8):
        node = _node(corner, first, up_z * height * across, up_y * across, up_x)
        weight = _share(corner, share_z, share_y, share_x)
        rows = template + node.to(tl.int64)[:, None] * padded + columns[None, :]
        logits += weight[:, None] * tl.load(rows)
    return logits


@triton.jit
def _write_moves(to, row, move_z, move_y, move_x, valid, inside, share, adds: tl.constexpr):  # type: ignore[no-untyped-def]
    """Write the displacement (voxel, 3), zero outside the box."""
    for axis in tl.static_range(3):
        value = share * (move_z if axis == 0 else (move_y if axis == 1 else move_x))
        place = to + 3 * row + axis
        if adds:
            value += tl.load(place, mask=valid, other=0.0)
        tl.store(place, tl.where(inside, value, 0.0), mask=valid)


@triton.jit
def _write_logits(to, row, logits, columns, valid, inside, classes: tl.constexpr):  # type: ignore[no-untyped-def]
    """Write the logits (voxel, class); outside the box -30, background 0."""
    outside = tl.where(columns == 0, 0.0, -30.0)[None, :]
    places = to + row[:, None] * classes + columns[None, :]
    tl.store(places, tl.where(inside[:, None], logits, outside), mask=valid[:, None] & (columns < classes)[None, :])


@triton.jit
def _best(logits, columns, classes: tl.constexpr, padded: tl.constexpr):  # type: ignore[no-untyped-def]
    """Index of the largest logit, the first of equals; 0 where there is no number."""
    known = tl.where((columns < classes)[None, :], logits, -float("inf"))
    best = tl.min(tl.where(known == tl.max(known, 1)[:, None], columns[None, :], padded), 1)
    return tl.where(best < classes, best, 0)


SIZES = ("lower_z", "lower_y", "lower_x", "extent_z", "extent_y", "extent_x", "stride_z", "stride_y")


@triton.jit(do_not_specialize=SIZES)
def decode_tiles(  # type: ignore[no-untyped-def]
    levels,
    template,
    table,
    to_box,
    move_position,
    move_norms,
    move_weight,
    move_bias,
    add_position,
    add_norms,
    add_weight,
    add_bias,
    to_labels,
    to_logits,
    to_moves,
    lower_z,
    lower_y,
    lower_x,
    extent_z,
    extent_y,
    extent_x,
    stride_z,
    stride_y,
    share,
    eps,
    slope,
    level_count: tl.constexpr,
    features: tl.constexpr,
    width: tl.constexpr,
    classes: tl.constexpr,
    padded: tl.constexpr,
    tile_z: tl.constexpr,
    tile_y: tl.constexpr,
    tile_x: tl.constexpr,
    deforms: tl.constexpr,
    corrects: tl.constexpr,
    has_template: tl.constexpr,
    adds: tl.constexpr,
    labels: tl.constexpr,
    logits: tl.constexpr,
    moves: tl.constexpr,
):
    """Decode one block of voxels of a part; see :func:`evaluate`."""
    lane, program = tl.arange(0, tile_z * tile_y * tile_x), tl.program_id(0)
    blocks_y, blocks_x = tl.cdiv(extent_y, tile_y), tl.cdiv(extent_x, tile_x)
    iz = program // (blocks_y * blocks_x) * tile_z + lane // (tile_y * tile_x)
    iy = program // blocks_x % blocks_y * tile_y + lane // tile_x % tile_y
    ix = program % blocks_x * tile_x + lane % tile_x
    valid = (iz < extent_z) & (iy < extent_y) & (ix < extent_x)
    exact_z = _positions(to_box, iz + lower_z, iy + lower_y, ix + lower_x, 0)
    exact_y = _positions(to_box, iz + lower_z, iy + lower_y, ix + lower_x, 1)
    exact_x = _positions(to_box, iz + lower_z, iy + lower_y, ix + lower_x, 2)
    inside = valid & (tl.abs(exact_z) <= 1) & (tl.abs(exact_y) <= 1) & (tl.abs(exact_x) <= 1)
    z, y, x = exact_z.to(tl.float32), exact_y.to(tl.float32), exact_x.to(tl.float32)
    row = (iz.to(tl.int64) * extent_y + iy) * extent_x + ix
    hidden, columns = tl.arange(0, width), tl.arange(0, padded)
    outputs: tl.constexpr = 2 * width * (deforms + corrects)
    move_z, move_y, move_x = z * 0, y * 0, x * 0
    if deforms:
        active = _active(
            levels, table, move_position, move_norms, z, y, x, eps, slope, 0, level_count, outputs, features, width
        )
        move_z = _moved(active, move_weight, move_bias, hidden, 0)
        move_y = _moved(active, move_weight, move_bias, hidden, 1)
        move_x = _moved(active, move_weight, move_bias, hidden, 2)
    if moves:
        _write_moves(to_moves, row, move_z, move_y, move_x, valid, inside, share, adds)
    if labels or logits:
        value = tl.zeros((tile_z * tile_y * tile_x, padded), tl.float32)
        if corrects:
            active = _active(
                levels,
                table,
                add_position,
                add_norms,
                z,
                y,
                x,
                eps,
                slope,
                2 * width * deforms,
                level_count,
                outputs,
                features,
                width,
            )
            last = tl.load(add_weight + hidden[:, None] * padded + columns[None, :])
            value = tl.dot(active, last, input_precision="ieee") + tl.load(add_bias + columns)[None, :]
        if has_template:
            value = _add_template(
                value, template, table + 4 * level_count, z + move_z, y + move_y, x + move_x, columns, padded
            )
        value = value * share
        if adds:
            known = valid[:, None] & (columns < classes)[None, :]
            value += tl.load(to_logits + row[:, None] * classes + columns[None, :], mask=known, other=0.0)
        if logits:
            _write_logits(to_logits, row, value, columns, valid, inside, classes)
        if labels:
            flat = (iz + lower_z).to(tl.int64) * stride_z + (iy + lower_y) * stride_y + ix + lower_x
            best = _best(value, columns, classes, padded)
            tl.store(to_labels + flat, best.to(to_labels.dtype.element_ty), mask=inside)


def tile_of(fold: DeviceFold, tile: Size | None = None) -> Size:
    """Voxels of a program along each axis: fewer where there are many classes or the heads are wide."""
    z, y, x = tile or TILE
    widest = 2 * max(fold.padded_width, fold.padded_classes)
    while z * y * x > FEWEST and z * y * x * widest > LARGEST:
        z, y, x = (z // 2, y, x) if z >= max(y, x) else ((z, y // 2, x) if y >= x else (z, y, x // 2))
    return z, y, x


def evaluate(fold: DeviceFold, placement: Placement, part: GridPart, target: Target) -> None:
    """Decode a part of a grid.

    Args:
        fold: To evaluate.
        placement: Placement of the grid in the box.
        part: Its voxels.
        target: What is written; ``logits`` and ``displacement`` contiguous.
    """
    tile = tile_of(fold)
    programs = 1
    for extent, length in zip(part.extent, tile, strict=True):
        programs *= -(-extent // length)
    stride = (0, 0) if target.labels is None else target.labels.stride()[:2]
    device = fold.table.device
    to_box = _to_device(tuple(placement.to_box.ravel().tolist()), device)
    with torch.cuda.device_of(fold.table):  # Triton launches on the current one
        decode_tiles[(programs,)](
            *_inputs(fold, to_box),
            *_outputs(target, fold.table),
            *part.lower,
            *part.extent,
            *stride,
            target.share,
            fold.eps,
            fold.slope,
            **switches(fold, target, tile),
            num_warps=WARPS,
            num_stages=1,
        )


def switches(fold: DeviceFold, target: Target, tile: Size) -> dict[str, int | bool]:
    """What is compiled in."""
    z, y, x = tile
    return {
        "level_count": len(fold.sizes),
        "features": fold.features,
        "width": fold.padded_width,
        "classes": fold.classes,
        "padded": fold.padded_classes,
        "tile_z": z,
        "tile_y": y,
        "tile_x": x,
        "deforms": fold.deformation is not None,
        "corrects": fold.correction is not None,
        "has_template": fold.template is not None,
        "adds": target.adds,
        "labels": target.labels is not None,
        "logits": target.logits is not None and (target.labels is None or not target.adds),
        "moves": target.displacement is not None,
    }


@lru_cache(maxsize=16)
def _to_device(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=device)


def _inputs(fold: DeviceFold, to_box: Tensor) -> list[Tensor]:
    """Arguments of the kernel that it reads; what there is not is stood in for by what it does not read."""
    result = [fold.levels, to_box if fold.template is None else fold.template, fold.table, to_box]
    for head in (fold.deformation, fold.correction):
        parts = (to_box,) * 4 if head is None else (head.by_position, head.norms, head.weight, head.bias)
        result.extend(parts)
    return result


def _outputs(target: Target, absent: Tensor) -> list[Tensor]:
    return [absent if part is None else part for part in (target.labels, target.logits, target.displacement)]

"""Labels, logits and displacements of a grid, made on the device that holds the box (docs/decoding.md, "On a GPU").

Every voxel is evaluated. Results leave the device once: labels as a whole, logits and displacements part by part.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from impulse_nnunet.decoding import device_torch
from impulse_nnunet.decoding.device_fold import can_fold, fold_of
from impulse_nnunet.decoding.device_parts import GridPart, Placement, Target
from impulse_nnunet.decoding.encoded_box import EncodedBox
from impulse_nnunet.decoding.grids import OutputGrid
from impulse_nnunet.decoding.point_decoders import PlainPoints

LAUNCH = 64  # voxels of a part for each point of the plans' block
LOGITS = 10240  # and logits that are held at once: 1.3 GB for a block of 32768 points
NODES = 4  # and nodes of a level that are multiplied at once

Evaluate = Callable[[GridPart, Target], None]

logger = logging.getLogger(__name__)


class Engine:
    """What evaluates parts: the Triton kernel where it works, PyTorch where not.

    Args:
        kernel: Use Triton; a failure to compile ends that, with one warning.
        storage: Storage of the projected levels; None takes float16 where the values fit.
    """

    def __init__(self, kernel: bool, storage: torch.dtype | None = None) -> None:
        self.kernel = _kernel() if kernel else None
        self.storage = storage

    def fold(self, member: PlainPoints, placement: Placement, block_points: int) -> Evaluate:
        """Prepare a fold: what evaluates parts of it."""
        if not can_fold(member.decoder):
            return partial(self._plain, member, placement, block_points)
        fold = fold_of(member.decoder, member.pyramid, NODES * block_points, self.storage)

        @torch.inference_mode()
        def evaluate(part: GridPart, target: Target) -> None:
            if self.kernel is not None:
                try:
                    self.kernel.evaluate(fold, placement, part, target)
                    return
                except self.kernel.ERRORS as error:
                    if isinstance(error, torch.cuda.OutOfMemoryError) or "CUDA error" in str(error):
                        raise  # of the device, not of the kernel
                    self._give_up(error)
            device_torch.evaluate(fold, placement, part, target, block_points)

        return evaluate

    @staticmethod
    def _plain(member: PlainPoints, placement: Placement, block_points: int, part: GridPart, target: Target) -> None:
        device_torch.evaluate_plain(member.decoder, member.pyramid, placement, part, target, block_points)

    def _give_up(self, error: Exception) -> None:
        self.kernel = None
        logger.warning("decoding in plain PyTorch, which is slower: Triton says %s", " ".join(str(error).split()))


_engines: dict[torch.device, Engine] = {}


def engine_for(device: torch.device) -> Engine:
    """The engine of a device; one for the whole process, so that a failure is reported once."""
    if device not in _engines:
        _engines[device] = Engine(kernel=device.type == "cuda")
    return _engines[device]


def _kernel() -> ModuleType | None:
    try:
        return import_module("impulse_nnunet.decoding.device_kernel")
    except ImportError as error:
        logger.warning("decoding in plain PyTorch, which is slower: %s; install Triton for the fast way", error)
        return None


def device_labels(encoded: EncodedBox, grid: OutputGrid, block_points: int, engine: Engine | None = None) -> np.ndarray:
    """Labels of every voxel; see :func:`impulse_nnunet.decoding.volumes.decode_labels`."""
    few = encoded.number_of_classes <= 255
    device = _device(encoded)
    labels = torch.zeros(grid.shape, dtype=torch.uint8 if few else torch.int16, device=device)
    members, placement = _members(encoded), Placement.of(grid, encoded.box)
    engine = engine or engine_for(device)
    if len(members) == 1:
        evaluate = engine.fold(members[0], placement, block_points)
        for part in placement.parts(LAUNCH * block_points):
            evaluate(part, Target(labels=labels))
    else:
        for part in placement.parts(_voxels(encoded, block_points)):
            logits = _empty(part, encoded.number_of_classes, device)
            _all_folds(engine, members, placement, block_points, part, Target(labels=labels, logits=logits))
    values = _to_host(labels).numpy()
    return values if few else values.view(np.uint16)


def _to_host(tensor: Tensor) -> Tensor:
    """A copy in main memory; from a GPU into pinned memory, which PyTorch keeps for the next case."""
    if tensor.device.type != "cuda":
        return tensor.cpu()
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor)


def device_logits(encoded: EncodedBox, grid: OutputGrid, block_points: int, engine: Engine | None = None) -> np.ndarray:
    """Logits of every voxel; see :func:`impulse_nnunet.decoding.volumes.decode_logits`."""
    classes = encoded.number_of_classes
    result = torch.full((classes, *grid.shape), -30.0)
    result[0] = 0
    for part, target in _filled(encoded, grid, block_points, engine, displacement=False):
        if target.logits is not None:
            d, h, w = part.slices
            result[:, d, h, w] = target.logits.permute(3, 0, 1, 2).contiguous().cpu()
    return result.numpy()


def device_displacement(
    encoded: EncodedBox, grid: OutputGrid, block_points: int, engine: Engine | None = None
) -> np.ndarray:
    """Displacement of every voxel; see :func:`impulse_nnunet.decoding.volumes.decode_displacement`."""
    result = torch.zeros(*grid.shape, 3)
    to_image = torch.from_numpy(encoded.box.matrix.T.astype(np.float32)).to(_device(encoded))
    for part, target in _filled(encoded, grid, block_points, engine, displacement=True):
        if target.displacement is not None:
            result[part.slices] = (target.displacement @ to_image).cpu()
    return result.numpy()


def _filled(
    encoded: EncodedBox, grid: OutputGrid, block_points: int, engine: Engine | None, displacement: bool
) -> Iterator[tuple[GridPart, Target]]:
    """Parts and their logits or displacements, means over the folds."""
    members, placement, device = _members(encoded), Placement.of(grid, encoded.box), _device(encoded)
    engine = engine or engine_for(device)
    evaluate = _prepared(engine, members, placement, block_points)
    for part in placement.parts(_voxels(encoded, block_points)):
        values = _empty(part, 3 if displacement else encoded.number_of_classes, device)
        target = Target(displacement=values) if displacement else Target(logits=values)
        evaluate(part, target)
        yield part, target


def _prepared(engine: Engine, members: Sequence[PlainPoints], placement: Placement, block_points: int) -> Evaluate:
    """What evaluates the mean of all folds; a single one is prepared once."""
    if len(members) == 1:
        return engine.fold(members[0], placement, block_points)
    return partial(_all_folds, engine, members, placement, block_points)


def _all_folds(
    engine: Engine,
    members: Sequence[PlainPoints],
    placement: Placement,
    block_points: int,
    part: GridPart,
    target: Target,
) -> None:
    """The mean of the folds of a part; one fold after the other is prepared and let go of, which bounds the memory."""
    for number, member in enumerate(members):
        last = number == len(members) - 1
        step = Target(
            labels=target.labels if last else None,
            logits=target.logits,
            displacement=target.displacement,
            adds=number > 0,
            share=1 / len(members),
        )  # the label is that of the sum
        engine.fold(member, placement, block_points)(part, step)


def _voxels(encoded: EncodedBox, block_points: int) -> int:
    return max(1, LOGITS * block_points // encoded.number_of_classes)


def _empty(part: GridPart, columns: int, device: torch.device) -> Tensor:
    return torch.empty(*part.extent, columns, device=device)


def _members(encoded: EncodedBox) -> list[PlainPoints]:
    return [member for member in encoded.members if isinstance(member, PlainPoints)]


def _device(encoded: EncodedBox) -> torch.device:
    return _members(encoded)[0].pyramid[0].device

"""Seconds of decoding on a GPU for tiles and warps of the kernel, and for plain PyTorch; one JSON line each.

``python -m benchmarks.decode_variants`` makes random features of the sizes of the paper and decodes 300 x 512 x 512
voxels with 19 classes, 43 M of them in the box; the peak is that of memory which PyTorch allocated on the device.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from statistics import median
from time import perf_counter

import numpy as np
import torch

from impulse_nnunet.decoding import EncodedBox, OutputGrid
from impulse_nnunet.decoding.device_fold import fold_of
from impulse_nnunet.decoding.device_volumes import NODES, Engine, device_labels
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.network import NetworkSettings, build_network

SHAPE, CLASSES, BLOCK = (300, 512, 512), 19, 32768
TILES = ((4, 4, 4), (2, 4, 4), (2, 2, 4), (4, 4, 8), (1, 4, 16))
WARPS = (4, 8)
BOX = Box.from_faces([-0.82] * 3, [0.82] * 3)
TURN = 0.05  # radians, of the grid that is not upright

Size = tuple[int, int, int]


def made_up(size: int, seed: int = 0, folds: int = 1) -> EncodedBox:
    """Random features on the device: levels of size^3 to (size / 8)^3, in half precision as the encoder leaves them."""
    torch.manual_seed(seed)
    settings = NetworkSettings(template_grid=(size, size, size))
    members = []
    for _ in range(folds):
        decoder = build_network(settings, 1, CLASSES).decoder.eval().cuda()
        decoder.template.set_logits(_smooth(CLASSES, size, 8) * 5)
        for head in (decoder.deformation, decoder.correction):
            torch.nn.init.normal_(head.last.weight, 0, 0.02)
        pyramid = [_smooth(n, size // 2**i, 2**i).half()[None] for i, n in enumerate(settings.features_per_stage)]
        members.append((decoder, pyramid))
    return EncodedBox(members, BOX)


def _smooth(channels: int, size: int, factor: int) -> torch.Tensor:
    coarse = torch.randn(1, channels, *(max(2, size // factor),) * 3, device="cuda")
    return torch.nn.functional.interpolate(coarse, (size,) * 3, mode="trilinear")[0]


def seconds(encoded: EncodedBox, grid: OutputGrid, engine: Engine, runs: int) -> tuple[list[float], float, np.ndarray]:
    """Times from the pyramid to labels on the host after a first run that compiles, its time, and the labels."""
    times = []
    labels = np.empty(0)
    for _ in range(runs + 1):
        torch.cuda.synchronize()
        start = perf_counter()
        labels = device_labels(encoded, grid, BLOCK, engine)
        times.append(perf_counter() - start)
    return times[1:], times[0], labels


def tune(encoded: EncodedBox, grid: OutputGrid, variants: Sequence[tuple[Size, int] | None], runs: int = 3) -> None:
    """Print the seconds of each variant: a tile and its warps, or None for plain PyTorch."""
    from impulse_nnunet.decoding import device_kernel

    before, first = (device_kernel.TILE, device_kernel.WARPS), None
    for variant in variants:
        device_kernel.TILE, device_kernel.WARPS = variant or before
        engine = Engine(kernel=variant is not None)
        torch.cuda.reset_peak_memory_stats()
        times, compiling, labels = seconds(encoded, grid, engine, runs)
        first = labels if first is None else first
        _line(
            variant=variant or "PyTorch",
            seconds=round(median(times), 4),
            runs=[round(t, 4) for t in times],
            first_run=round(compiling, 2),
            fell_back=variant is not None and engine.kernel is None,
            peak_gb=round(torch.cuda.max_memory_allocated() / 1e9, 2),
            differs=float(np.mean(labels != first)),
        )
    device_kernel.TILE, device_kernel.WARPS = before


def prepare_and_copy(encoded: EncodedBox, grid: OutputGrid) -> None:
    """Print the seconds of the two ends: preparation of a fold, and the copy of the labels."""
    decoder, pyramid = encoded.members[0].decoder, encoded.members[0].pyramid  # type: ignore[attr-defined]
    labels = torch.zeros(grid.shape, dtype=torch.uint8, device="cuda")
    for name, work in (("prepare", lambda: fold_of(decoder, pyramid, NODES * BLOCK)), ("copy", labels.cpu)):
        for _ in range(3):
            torch.cuda.synchronize()
            start = perf_counter()
            work()
            torch.cuda.synchronize()
        _line(part=name, seconds=round(perf_counter() - start, 4))


def turned(grid: OutputGrid) -> OutputGrid:
    """A grid that is not upright."""
    c, s = np.cos(TURN), np.sin(TURN)
    return OutputGrid(grid.shape, np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ grid.to_image)


def _line(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main() -> int:
    """The entry point."""
    parser = argparse.ArgumentParser("decode_variants")
    parser.add_argument("--shape", type=int, nargs=3, default=SHAPE)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--quick", action="store_true", help="the default variant only, no sweep")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.stderr.write("benchmarks.decode_variants: found no CUDA device, expected one\n")
        return 2
    from impulse_nnunet.decoding import device_kernel

    encoded, grid = made_up(options.size), OutputGrid.native(options.shape)
    _line(device=torch.cuda.get_device_name(), torch=torch.__version__, voxels=int(np.prod(grid.shape)))
    prepare_and_copy(encoded, grid)
    default = (device_kernel.TILE, device_kernel.WARPS)
    others = [(tile, warps) for tile in TILES for warps in WARPS if (tile, warps) != default]
    tune(encoded, grid, [default, None, *([] if options.quick else others)])
    tune(encoded, turned(grid), [default, None])
    tune(made_up(options.size, folds=2), grid, [default], runs=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())

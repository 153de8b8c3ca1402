"""Seconds and peak memory of each step: ``make bench`` or ``python -m benchmarks.bench [--sizes small large]``.

Each step runs in a process of its own, so that its peak memory is its own; times are medians of several runs in that
process, the first run (warm-up) left out. The table is Markdown, for docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks.memory import peak_gigabytes

SIZES: dict[str, dict[str, Any]] = {
    "small": {"shape": (64, 64, 64), "grid": (64, 64, 64), "width": 16, "classes": 19, "batch": 4, "runs": 3},
    "large": {"shape": (300, 512, 512), "grid": (128, 128, 128), "width": 64, "classes": 19, "batch": 1, "runs": 1},
}
STEPS = ("preprocess", "train step", "encode", "decode", "decode, every voxel", "decode, plain PyTorch")


def main() -> None:
    """Run every step for every size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    if options.step:
        sys.stdout.write(json.dumps(measure(options.sizes[0], options.step)))
        return
    sys.stdout.write(f"{machine()}\n\n| case | step | seconds | peak memory, GB | note |\n|---|---|---|---|---|\n")
    for size in options.sizes:
        for step in STEPS:
            command = [sys.executable, "-m", "benchmarks.bench", "--sizes", size, "--step", step]
            finished = subprocess.run(command, capture_output=True, text=True, check=True)
            result = json.loads(finished.stdout.splitlines()[-1])
            shape = " x ".join(str(n) for n in SIZES[size]["shape"])
            row = f"| {shape} | {step} | {result['seconds']:.2f} | {result['gigabytes']:.2f} | {result['note']} |"
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()


def machine() -> str:
    """Processor, cores and versions."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        name = names[0] if names else name
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}"


def measure(size: str, step: str) -> dict[str, Any]:
    """Median seconds and peak memory of one step on one size."""
    setup = SIZES[size]
    job, note, factor = JOBS[step](size)
    times = []
    for number in range(setup["runs"] + 1):
        start = perf_counter()
        job()
        if number or setup["runs"] == 1:
            times.append(perf_counter() - start)
        if setup["runs"] == 1:
            break
    return {"seconds": float(np.median(times)) * factor, "gigabytes": peak_gigabytes(), "note": note}


Job = tuple[Callable[[], Any], str, float]


def _image(size: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(1, *SIZES[size]["shape"])).astype(np.float32)


def _network(size: str) -> Any:
    from impulse_nnunet.network import NetworkSettings, build_network

    width, grid = SIZES[size]["width"], SIZES[size]["grid"]
    settings = NetworkSettings(tuple(width * 2**i for i in range(4)), template_grid=grid)
    return build_network(settings, 1, SIZES[size]["classes"])


def preprocess(size: str) -> Job:
    """Read a NIfTI CT, check it, reduce it to the working volume, store it and its segmentation."""
    import SimpleITK as sitk
    from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient

    from impulse_nnunet.preprocessing.preprocessor import save_case
    from impulse_nnunet.preprocessing.reading import read_case
    from impulse_nnunet.preprocessing.working_volume import to_working_volume

    folder = Path(tempfile.mkdtemp())
    image = np.round(_image(size)[0] * 200).astype(np.int16)
    labels = np.zeros(image.shape, np.uint8)
    labels[: image.shape[0] // 2] = 1
    for name, array in (("a_0000.nii.gz", image), ("a.nii.gz", labels)):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(folder / name), useCompression=True)
    working = tuple(int(1.25 * n) for n in SIZES[size]["grid"])

    numbers = itertools.count()

    def job() -> None:
        files = [str(folder / "a_0000.nii.gz")]
        raw = read_case(NibabelIOWithReorient(), "a", files, 1, str(folder / "a.nii.gz"), [0, 1])
        volume = to_working_volume(torch.from_numpy(raw.images), working).numpy()
        save_case(volume, raw.segmentation.astype(np.int8), {}, folder / f"stored_{next(numbers)}")

    return job, "one case, without nnU-Net's crop and normalisation", 1.0


def train_step(size: str) -> Job:
    """One optimiser step, 4096 points a sample."""
    from impulse_nnunet.settings import LossSettings
    from impulse_nnunet.training.losses import point_loss

    network, grid = _network(size), SIZES[size]["grid"]
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    batch = SIZES[size]["batch"]
    images, points = torch.randn(batch, 1, *grid), torch.rand(batch, 4096, 3) * 2 - 1
    labels = torch.randint(0, SIZES[size]["classes"], (batch, 4096))

    def job() -> None:
        loss = point_loss(network(images, points), labels, LossSettings())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return job, f"batch {batch}, 4096 points, grid {grid[0]}^3, width {SIZES[size]['width']}", 1.0


def encode(size: str) -> Job:
    """The encoder on one input grid."""
    from impulse_nnunet.coordinates import Box
    from impulse_nnunet.inference.encoding import Ensemble

    ensemble, grid = Ensemble(_network(size), None, torch.device("cpu")), SIZES[size]["grid"]
    volume = torch.randn(1, *grid).half()
    return lambda: ensemble.encode(volume, Box.whole(), grid), f"grid {grid[0]}^3, width {SIZES[size]['width']}", 1.0


def _encoded(size: str, plain: bool) -> Any:
    """A network whose template is a lung-like atlas and whose heads have small random weights, on a smooth image."""
    from scipy import ndimage
    from scipy.spatial import KDTree

    from impulse_nnunet.coordinates import Box, grid_points
    from impulse_nnunet.decoding import EncodedBox

    grid, classes, rng = SIZES[size]["grid"], SIZES[size]["classes"], np.random.default_rng(0)
    torch.manual_seed(0)
    network = _network(size).eval()
    points = grid_points(grid).numpy()
    labels = np.zeros(grid, int)
    for centre, first, last in ((-0.45, 1, classes // 2 + 1), (0.45, classes // 2 + 1, classes)):
        inside = (((points - (0, 0, centre)) / (0.95, 0.85, 0.5)) ** 2).sum(-1) < 1
        seeds = rng.uniform(-0.8, 0.8, (last - first, 3)) * (1, 0.8, 0.35) + (0, 0, centre)
        labels[inside] = first + KDTree(seeds).query(points[inside])[1]
    share = [ndimage.gaussian_filter((labels == c).astype(np.float32), grid[0] / 32) for c in range(classes)]
    network.decoder.template.set_logits(torch.from_numpy(np.log(np.stack(share) + 1e-3)))
    torch.nn.init.normal_(network.decoder.deformation.last.weight, 0, 0.003)
    torch.nn.init.normal_(network.decoder.correction.last.weight, 0, 0.05)
    image = torch.from_numpy(ndimage.gaussian_filter(rng.normal(size=grid), grid[0] / 32).astype(np.float32))
    with torch.inference_mode():
        pyramid = [level.float() for level in network.encode(image[None, None] / image.std())]
    return EncodedBox([(network.decoder, pyramid)], Box.whole(), plain)


def decode(exact: bool, plain: bool) -> Callable[[str], Job]:
    """All native voxels of a box that is the whole image."""

    def make(size: str) -> Job:
        from impulse_nnunet.decoding import OutputGrid, decode_labels

        encoded = _encoded(size, plain)
        share = 16 if plain and size == "large" else 1
        d, h, w = SIZES[size]["shape"]
        part = OutputGrid((d // share, h, w), OutputGrid.native((d, h, w)).to_image)
        decode_labels(encoded, OutputGrid.native((64, 64, 64)), 32768, exact)  # compilation
        note = f"{SIZES[size]['classes']} classes"
        note += f"; measured on {d // share} of {d} slices, scaled up" if share > 1 else ""
        return lambda: decode_labels(encoded, part, 32768, exact), note, d / (d // share)

    return make


JOBS: dict[str, Callable[[str], Job]] = {
    "preprocess": preprocess,
    "train step": train_step,
    "encode": encode,
    "decode": decode(exact=False, plain=False),
    "decode, every voxel": decode(exact=True, plain=False),
    "decode, plain PyTorch": decode(exact=True, plain=True),
}


if __name__ == "__main__":
    main()

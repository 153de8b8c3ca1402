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
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

SIZES: dict[str, dict[str, Any]] = {
    "small": {"shape": (64, 64, 64), "grid": (64, 64, 64), "width": 16, "classes": 19, "batch": 4, "runs": 3},
    "large": {"shape": (300, 512, 512), "grid": (128, 128, 128), "width": 64, "classes": 19, "batch": 1, "runs": 1},
}
STEPS = ("preprocess", "train step", "encode", "decode")
DECODED_SHARE = 16  # the large case decodes one block in 16 and the table says so


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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"seconds": float(np.median(times)) * factor, "gigabytes": peak, "note": note}


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


def decode(size: str) -> Job:
    """All native voxels of a box that is the whole image."""
    from impulse_nnunet.coordinates import Box
    from impulse_nnunet.decoding import OutputGrid, decode_labels
    from impulse_nnunet.inference.encoding import Ensemble

    ensemble, grid = Ensemble(_network(size), None, torch.device("cpu")), SIZES[size]["grid"]
    encoded = ensemble.encode(torch.randn(1, *grid).half(), Box.whole(), grid)
    d, h, w = SIZES[size]["shape"]
    share = DECODED_SHARE if size == "large" else 1
    native = OutputGrid.native((d, h, w))
    part = OutputGrid((d // share, h, w), native.to_image)
    note = f"every voxel, {SIZES[size]['classes']} classes"
    note += f"; measured on {d // share} of {d} slices, scaled up" if share > 1 else ""
    return lambda: decode_labels(encoded, part, 32768), note, d / (d // share)


JOBS: dict[str, Callable[[str], Job]] = {
    "preprocess": preprocess,
    "train step": train_step,
    "encode": encode,
    "decode": decode,
}


if __name__ == "__main__":
    main()

"""The rows of ``make bench``: what each measures, in a process of its own.

A row makes its inputs and returns a :class:`Job`. Rows that stand for the plain way or for nnU-Net measure a part and
scale it up where the whole would take half an hour or more; their notes say so.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks import standin
from impulse_nnunet.runtime.peak_memory import peak_gigabytes, reset_peak

MIB_PER_GB = 1e9 / 2**20
NNUNET_PATCH = (128, 128, 128)
SLICES = 2  # of the box, that the plain way decodes


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a row times.

    Args:
        run: To time.
        factor: Seconds of the whole for each second of ``run``.
        note: For the table.
        runs: Largest number of runs.
        warm: Whether one run comes before those that count.
    """

    run: Callable[[], Any]
    factor: float = 1.0
    note: str = ""
    runs: int = 5
    warm: bool = True


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Args:
        make: Makes the job on a device.
        against: The row that it is compared with.
        devices: Where it runs.
    """

    make: Callable[[torch.device], Job]
    against: str | None = None
    devices: tuple[str, ...] = ("cpu", "cuda")


def loaded(folder: Path, device: torch.device) -> Any:
    """The stand-in's network on a device."""
    network = standin.network()
    checkpoint = torch.load(folder / "model/fold_0/checkpoint_final.pth", weights_only=False)
    network.load_state_dict(checkpoint["network_weights"])
    return network.to(device)


def encoded(device: torch.device, plain: bool = False) -> Any:
    """The stand-in's box of the lungs, filled with smooth noise, which costs what a CT costs."""
    from impulse_nnunet.decoding import EncodedBox

    folder = standin.made(standin.default_folder())
    network = loaded(folder, device)
    image = torch.nn.functional.interpolate(torch.randn(1, 1, 32, 32, 32), standin.GRID, mode="trilinear").to(device)
    with torch.inference_mode(), torch.autocast("cuda", enabled=device.type == "cuda"):
        pyramid = network.encode(image)
    return EncodedBox([(network.decoder, pyramid)], standin.lung_box(folder), plain)


def decode(shape: tuple[int, int, int], exact: bool = False) -> Callable[[torch.device], Job]:
    """Labels of the lungs' box in an image of a shape."""

    def make(device: torch.device) -> Job:
        from impulse_nnunet.decoding import OutputGrid, decode_labels

        box, grid = encoded(device), OutputGrid.native(shape)
        lower, upper = grid.index_range(box.box)
        decode_labels(box, OutputGrid.native((150, 150, 150)), 32768, exact)  # loads or compiles the loops
        return Job(
            run=lambda: decode_labels(box, grid, 32768, exact),
            note=f"{np.prod(upper - lower) / 1e6:.1f} M voxels in box",
            runs=3,
            warm=False,
        )

    return make


def decode_plain(device: torch.device) -> Job:
    """The network's own decoder at every voxel of some slices of the box."""
    from impulse_nnunet.decoding import OutputGrid, decode_labels

    box, grid = encoded(device, plain=True), OutputGrid.native(standin.SHAPE)
    lower, upper = grid.index_range(box.box)
    depth = int(upper[0] - lower[0])
    move = grid.to_image.copy()
    move[:, 3] += move[:, 0] * (lower[0] + depth // 2)
    part = OutputGrid((SLICES, *grid.shape[1:]), move)
    note = f"{SLICES} of {depth} slices, scaled up"
    return Job(
        run=lambda: decode_labels(box, part, 32768, exact=True), factor=depth / SLICES, note=note, runs=1, warm=False
    )


def encode(device: torch.device) -> Job:
    """One pass of the encoder."""
    network, image = standin.network().to(device), torch.randn(1, 1, *standin.GRID, device=device)

    def run() -> None:
        with torch.inference_mode(), torch.autocast("cuda", enabled=device.type == "cuda"):
            network.encode(image)
        _wait(device)

    return Job(run=run, note=f"ResNet-18, {multiply_adds() / 1e12:.2f} T multiply-adds", runs=3)


def encode_limit(device: torch.device) -> Job:
    """The encoder's multiply-adds at the rate of one large bfloat16 matrix product."""
    n = 4096
    first, second = (torch.randn(n, n, device=device).bfloat16() for _ in range(2))

    def run() -> None:
        first @ second
        _wait(device)

    return Job(run=run, factor=multiply_adds() / n**3, note=f"{n}^3 bfloat16 product, scaled up", runs=5)


def multiply_adds() -> float:
    """Of the stand-in's encoder, counted from its convolutions."""
    network, total = standin.network(), 0.0

    def count(module: torch.nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        weight = module.weight
        total += weight.numel() / weight.shape[0] * output.numel() if isinstance(weight, torch.Tensor) else 0

    network.encoder_bfloat16 = False
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network.encode(torch.zeros(1, 1, *(n // 4 for n in standin.GRID)))
    return total * 4**3


def prepare(device: torch.device) -> Job:
    """Read a CT, check it, crop and normalise as nnU-Net does, reduce it to the working volume."""
    from impulse_nnunet.geometry.working_volume import to_working_volume

    predictor, folder = _predictor(device)
    files = [str(folder / "images" / f"{standin.CASE}_0000.nii.gz")]

    def run() -> None:
        to_working_volume(predictor.prepare(standin.CASE, files).image, standin.WORKING_GRID)

    return Job(run=run, note="300 x 512 x 512 int16 .nii.gz", runs=3)


def case_in_folder(device: torch.device) -> Job:
    """A case file to file, both passes, by a predictor that is ready."""
    predictor, folder = _predictor(device)
    output = tempfile.mkdtemp()
    return Job(run=lambda: predictor.predict_folder(folder / "images", output), note="two passes", runs=2, warm=False)


def first_case(device: torch.device) -> Job:
    """The command for one case: imports and the model's loading included."""
    from impulse_nnunet.cli.main import main

    folder = standin.made(standin.default_folder())
    where = ["-i", str(folder / "images"), "-o", tempfile.mkdtemp(), "-m", str(folder / "model"), "-f", "0"]
    command = ["predict", *where, "-device", device.type, "--disable_progress_bar"]
    return Job(run=lambda: main(command), note="with start-up", runs=1, warm=False)


def start_up(device: torch.device) -> Job:
    """From nothing to a predictor with its weights."""
    return Job(run=lambda: _predictor(device), note="imports, plans, checkpoint", runs=1, warm=False)


def nnunet(device: torch.device) -> Job:
    """nnU-Net's network on one patch, times the tiles of its sliding window; no mirroring, no export."""
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window

    network = PlainConvUNet(
        1, 6, (32, 64, 128, 256, 320, 320), torch.nn.Conv3d, 3, (1, 2, 2, 2, 2, 2), 2, standin.CLASSES, 2,
        conv_bias=True, norm_op=torch.nn.InstanceNorm3d, norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=torch.nn.LeakyReLU, nonlin_kwargs={"inplace": True},
    ).to(device).eval()  # fmt: skip
    steps = compute_steps_for_sliding_window(standin.SHAPE, NNUNET_PATCH, 0.5)
    tiles = int(np.prod([len(axis) for axis in steps]))
    patch = torch.randn(1, 1, *NNUNET_PATCH, device=device)

    def run() -> None:
        with torch.inference_mode(), torch.autocast("cuda", enabled=device.type == "cuda"):
            network(patch)
        _wait(device)

    return Job(run=run, factor=tiles, note=f"one tile, times {tiles}", runs=2, warm=device.type == "cuda")


def loader(channels: int, cached: bool) -> Callable[[torch.device], Job]:
    """A training sample of a preprocessed case at 128^3, by one loader thread."""

    def make(_: torch.device) -> Job:
        from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

        from impulse_nnunet.preprocessing.progress import save_case
        from impulse_nnunet.settings import GridSettings, ImPulSeSettings
        from impulse_nnunet.training.batches import BatchMaker, CaseStore

        folder, rng = Path(tempfile.mkdtemp()), np.random.default_rng(0)
        working, shape = (160, 160, 160), (200, 320, 320)
        for case in range(2):
            noise = rng.normal(size=(channels, *(n // 4 for n in working))).astype(np.float32)
            volume = torch.nn.functional.interpolate(torch.from_numpy(noise)[None], working)[0].half().numpy()
            labels = np.zeros((1, *shape), np.int8)
            labels[:, 20:-20, 40:-40, 40:-40] = 1 + case
            facts = {
                "foreground_faces": np.array([[-0.8] * 3, [0.8] * 3]),
                "mask_voxels": None,
                "annotated_voxels": None,
            }
            save_case(volume, labels, {"spacing": [1.0] * 3, "impulse": facts}, folder / f"case_{case}")
        dataset = nnUNetDatasetBlosc2(str(folder))
        settings = ImPulSeSettings(grid=GridSettings(standin.GRID, working))
        store = CaseStore(dataset, settings, None, cache_bytes=2**31 if cached else 0)
        maker, step = BatchMaker(store, settings, 0, 0, 1), iter(range(10**9))
        note = f"{channels} channels, {'in memory' if cached else 'from disk'}"
        return Job(run=lambda: [maker(next(step)) for _ in range(20)], factor=1 / 20, note=note)

    return make


def train_step(device: torch.device) -> Job:
    """An optimiser step, batch 4, 4096 points: the paper's sizes on a GPU, 32^3 and a quarter of the widths here."""
    from impulse_nnunet.network import NetworkSettings, build_network
    from impulse_nnunet.settings import LossSettings
    from impulse_nnunet.training.losses import point_loss

    large = device.type == "cuda"
    grid = standin.GRID if large else (32, 32, 32)
    width = 64 if large else 16
    settings = NetworkSettings(features_per_stage=tuple(width * 2**i for i in range(4)), template_grid=grid)
    network = build_network(settings, 4, standin.CLASSES).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    images, points = torch.randn(4, 4, *grid, device=device), torch.rand(4, 4096, 3, device=device) * 2 - 1
    labels = torch.randint(0, standin.CLASSES, (4, 4096), device=device)

    def run() -> None:
        with torch.autocast("cuda", enabled=large):
            loss = point_loss(network(images, points), labels, LossSettings())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        _wait(device)

    return Job(run=run, note=f"grid {grid[0]}^3, width {width}, batch 4, 4 channels", runs=3)


def evaluation(name: str) -> Callable[[torch.device], Job]:
    """A job of :mod:`benchmarks.evaluation`, on one core."""

    def make(_: torch.device) -> Job:
        from benchmarks import evaluation as metrics

        torch.set_num_threads(1)
        folder = Path(tempfile.mkdtemp())
        metrics.make_case(folder)
        arrays = {key: np.load(folder / f"{key}.npy") for key in ("reference", "prediction", "airway", "artery")}
        part = {key: np.ascontiguousarray(array[140:150, 200:300, 100:200]) for key, array in arrays.items()}
        metrics.JOBS[name](part, folder)
        return Job(run=lambda: metrics.JOBS[name](arrays, folder), runs=3, warm=False)

    return make


def output(name: str) -> Callable[[torch.device], Job]:
    """A job of :mod:`benchmarks.surfaces`."""

    def make(_: torch.device) -> Job:
        from benchmarks import surfaces

        return Job(run=surfaces.JOBS[name](), note="18 labels, 300 x 512 x 512", runs=3, warm=False)

    return make


def _predictor(device: torch.device) -> Any:
    from impulse_nnunet.nnunet.predictor import ImPulSePredictor

    folder = standin.made(standin.default_folder())
    predictor = ImPulSePredictor(device, progress_bar=False)
    predictor.initialize_from_trained_model_folder(str(folder / "model"), (0,))
    return predictor, folder


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


ROWS: dict[str, Row] = {
    "decode_native": Row(decode(standin.SHAPE), "decode_plain"),
    "decode_exact": Row(decode(standin.SHAPE, exact=True), "decode_plain"),
    "decode_plain": Row(decode_plain),
    "decode_128": Row(decode((128, 128, 128))),
    "decode_256": Row(decode((256, 256, 256))),
    "decode_512": Row(decode((512, 512, 512))),
    "decode_512x512x800": Row(decode((800, 512, 512))),
    "encode": Row(encode, "encode_limit"),
    "encode_limit": Row(encode_limit),
    "prepare_case": Row(prepare),
    "case_file_to_file": Row(case_in_folder, "nnunet_sliding_window"),
    "first_case": Row(first_case, "nnunet_sliding_window"),
    "start_up": Row(start_up),
    "nnunet_sliding_window": Row(nnunet),
    "loader_sample": Row(loader(4, cached=True), devices=("cpu",)),
    "loader_sample_disk": Row(loader(4, cached=False), devices=("cpu",)),
    "train_step": Row(train_step),
    "evaluate_case": Row(evaluation("whole case, two trees"), "nnunet_metrics", ("cpu",)),
    "nnunet_metrics": Row(evaluation("nnU-Net compute_metrics"), devices=("cpu",)),
    "surfaces": Row(output("surfaces"), "marching_cubes", ("cpu",)),
    "surfaces_unsmoothed": Row(output("surfaces_unsmoothed"), "marching_cubes", ("cpu",)),
    "marching_cubes": Row(output("marching_cubes"), devices=("cpu",)),
    "marching_cubes_cropped": Row(output("marching_cubes_cropped"), devices=("cpu",)),
    "write_stl": Row(output("write_stl"), devices=("cpu",)),
    "write_glb": Row(output("write_glb"), devices=("cpu",)),
    "write_3mf": Row(output("write_3mf"), devices=("cpu",)),
    "write_obj": Row(output("write_obj"), devices=("cpu",)),
    "write_seg_nrrd": Row(output("write_seg_nrrd"), devices=("cpu",)),
    "measure": Row(output("measure"), devices=("cpu",)),
}


def measure(name: str, device: torch.device, runs: int) -> dict[str, Any]:
    """Median seconds, peak MiB above what lay in memory before, and the note of a row."""
    job = ROWS[name].make(device)
    if job.warm:
        job.run()
    on_gpu = device.type == "cuda"
    reset_peak()
    before = peak_gigabytes()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated() if on_gpu else 0
    seconds = []
    for _ in range(min(runs, job.runs)):
        start = perf_counter()
        job.run()
        _wait(device)
        seconds.append(perf_counter() - start)
    peak = (torch.cuda.max_memory_allocated() - held) / 2**20 if on_gpu else (peak_gigabytes() - before) * MIB_PER_GB
    return {"seconds": float(np.median(seconds)) * job.factor, "peak_mib": peak, "note": job.note}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=list(ROWS))
    parser.add_argument("device")
    parser.add_argument("runs", type=int)
    chosen = parser.parse_args()
    sys.stdout.write(json.dumps(measure(chosen.name, torch.device(chosen.device), chosen.runs)))

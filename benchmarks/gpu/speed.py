"""Part ``speed``: seconds and memory of encoding, decoding, a case, and training steps, with nnU-Net beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import standin
from benchmarks.gpu import steps
from benchmarks.gpu.context import Context
from benchmarks.gpu.correct import loaded, prepared, ready_predictor
from benchmarks.gpu.studies import DataSet, data_sets
from benchmarks.gpu.timing import timed

TARGETS_GB = (8.0, 11.0, 24.0)
SHAPES = ((128, 128, 128), (300, 512, 512), (800, 512, 512))
TINY_SHAPES = ((24, 32, 32), (48, 64, 64))


def machine(context: Context) -> dict[str, Any]:
    """The limits: a copy on the device, a large matrix product in bfloat16, an upload from pinned memory."""
    n = 512 if context.tiny else 8192
    first, second = (torch.randn(n, n, device=context.device).bfloat16() for _ in range(2))
    block = torch.empty(n * n * 16, dtype=torch.uint8, device=context.device)
    other = torch.empty_like(block)
    host = torch.empty(2**20 if context.tiny else 2**28, dtype=torch.uint8)
    host = host.pin_memory() if context.on_gpu else host
    product = timed(context, lambda: first @ second)["seconds"]
    copy = timed(context, lambda: other.copy_(block))["seconds"]
    upload = timed(context, lambda: host.to(context.device, non_blocking=True))["seconds"]
    found = {"tflops": 2 * n**3 / product / 1e12, "copy_gb_s": 2 * block.numel() / copy / 1e9}
    name = torch.cuda.get_device_name() if context.on_gpu else "cpu"
    versions = {"torch": torch.__version__, "cuda": torch.version.cuda, "device": name, "cores": os.cpu_count()}
    return versions | found | {"upload_gb_s": host.numel() / upload / 1e9}


def encode(context: Context) -> dict[str, Any]:
    """One pass of the encoder in several precisions and memory layouts; how far features are from float32's."""
    sizes = context.sizes
    network = standin.network(sizes).to(context.device).eval()
    image = torch.randn(1, 1, *sizes.grid, device=context.device)
    layouts = {"": torch.contiguous_format, " channels last": torch.channels_last_3d}
    kinds = {
        "bfloat16": (torch.bfloat16, False),
        "float16": (torch.float16, False),
        "tf32": (None, True),
        "float32": (None, False),
    }
    with torch.inference_mode(), _precise(False):
        expected = [level.float() for level in network.encoder(image)]

    def job(kind: str, layout: torch.memory_format) -> dict[str, Any]:
        dtype, tf32 = kinds[kind]
        encoder, given = network.encoder.to(memory_format=layout), image.to(memory_format=layout)
        autocast = torch.autocast(context.device.type, dtype=dtype) if dtype else nullcontext()
        with torch.inference_mode(), _precise(tf32), autocast:
            found = timed(context, lambda: encoder(given))
            apart = [_apart(a, b) for a, b in zip(encoder(given), expected, strict=True)]
        return found | {"relative_difference": max(apart)}

    kinds_here = kinds if context.on_gpu else {"float32": kinds["float32"]}
    return steps.each(
        {
            f"{kind}{name}": lambda kind=kind, layout=layout: job(kind, layout)
            for kind in kinds_here
            for name, layout in layouts.items()
        }
    )


def _precise(tf32: bool) -> Any:
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32)


def _apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.float() - expected).norm() / expected.norm())


def decode(context: Context) -> dict[str, Any]:
    """Labels of the box of the lungs on several grids."""
    from impulse_nnunet.decoding import EncodedBox, OutputGrid, decode_labels

    folder = context.standin()
    network = loaded(folder, context.sizes).to(context.device)
    coarse = torch.randn(1, 1, *[max(2, n // 4) for n in context.sizes.grid])
    image = torch.nn.functional.interpolate(coarse, context.sizes.grid, mode="trilinear").to(context.device)
    with torch.inference_mode():
        pyramid = network.encode(image)
    box = standin.lung_box(folder)

    def job(shape: tuple[int, int, int]) -> dict[str, Any]:
        grid = OutputGrid.native(shape)
        lower, upper = grid.index_range(box)
        found = timed(context, lambda: decode_labels(EncodedBox([(network.decoder, pyramid)], box), grid, 32768), 3)
        return found | {"million_voxels_in_box": float(np.prod(upper - lower)) / 1e6}

    shapes = TINY_SHAPES if context.tiny else SHAPES
    return steps.each({"x".join(map(str, shape)): lambda shape=shape: job(shape) for shape in shapes})


def variants(context: Context) -> dict[str, Any]:
    """Tiles and warps of the decoding kernel, and plain PyTorch: ``benchmarks.decode_variants``."""
    if not context.on_gpu:
        return {"skipped": "needs a GPU"}
    command = [sys.executable, "-m", "benchmarks.decode_variants"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    return {"lines": lines} | ({"failed": finished.stderr[-2000:]} if finished.returncode else {})


def case(context: Context) -> dict[str, Any]:
    """The stand-in's case: in memory from the normalised image to labels, file to file, and the shares of that."""
    from impulse_nnunet.inference.encoding import encode_image
    from impulse_nnunet.inference.ensemble import ensemble_of
    from impulse_nnunet.nnunet.cases import decode_case

    folder = context.standin()
    image, settings = prepared(folder, context)
    predictor = ready_predictor(folder, context.device)
    ensemble = ensemble_of(predictor)
    files = [str(folder / "images" / f"{standin.CASE}_0000.nii.gz")]
    ready = predictor.prepare(standin.CASE, files)
    block = settings.inference.block_points
    encoded = encode_image(ensemble, image, settings)
    in_memory: Callable[[], Any] = lambda: decode_case(  # noqa: E731
        encode_image(ensemble, image, settings), block, ready.properties, predictor.plans_manager
    )
    output = tempfile.mkdtemp()
    return {
        "in_memory": timed(context, in_memory),
        "encode": timed(context, lambda: encode_image(ensemble, image, settings)),
        "decode": timed(context, lambda: decode_case(encoded, block, ready.properties, predictor.plans_manager)),
        "prepare": timed(context, lambda: predictor.prepare(standin.CASE, files), 3),
        "file_to_file": timed(context, lambda: predictor.predict_folder(folder / "images", output), 3),
    }


def stock_case(context: Context) -> dict[str, Any]:
    """The same case by nnU-Net's own predictor with its own network: windows of 128^3, no mirroring, files written."""
    from benchmarks.gpu.stock import stock_predictor

    folder, output = context.standin(), Path(tempfile.mkdtemp())
    predictor = stock_predictor(context)
    files = [[str(folder / "images" / f"{standin.CASE}_0000.nii.gz")]]
    image, _ = prepared(folder, context)

    def whole() -> None:
        predictor.predict_from_files(
            files, [str(output / standin.CASE)], num_processes_preprocessing=1, num_processes_segmentation_export=1
        )

    return steps.each(
        {
            "windows": partial(timed, context, lambda: predictor.predict_logits_from_preprocessed_data(image), 1, 0),
            "file_to_file": partial(timed, context, whole, 1, 0),
        }
    )


def train(context: Context) -> dict[str, Any]:
    """Steps a second with the paper's sizes, batch 4, CT and three masks; nnU-Net's own step beside it."""
    from benchmarks.gpu.stock import stock_step

    context.set_folders()
    name = steps.paper_case_set(context, 904, 4)

    def ours(change: Callable[[Any], None]) -> dict[str, Any]:
        trainer = steps.make_trainer(name, "nnUNetTrainerImPulSe", context.device)
        change(trainer)
        try:
            return steps.step_figures(context, trainer, 2 if context.tiny else 10)
        finally:
            steps.closed(trainer)

    jobs: dict[str, Callable[[], dict[str, Any]]] = {"ours": partial(ours, lambda trainer: None)}
    jobs["stock"] = partial(stock_step, context, compiled=False)
    if context.on_gpu:
        jobs["ours, channels last"] = partial(ours, _channels_last)
        jobs["stock, compiled"] = partial(stock_step, context, compiled=True)
    return steps.each(jobs)


def _channels_last(trainer: Any) -> None:
    """Let a trainer's encoder keep channels last."""
    encoder = trainer.bare_network().encoder.to(memory_format=torch.channels_last_3d)
    encoder.register_forward_pre_hook(
        lambda module, given: tuple(g.contiguous(memory_format=torch.channels_last_3d) for g in given)
    )


def plan(context: Context) -> dict[str, Any]:
    """Peak memory of training steps beside the planner's estimate and target, for data sets and targets."""
    context.set_folders()
    found: dict[str, Any] = {}
    for source in data_sets(context):
        dataset = json.loads((source.raw(context) / "dataset.json").read_text(encoding="utf-8"))
        for target in TARGETS_GB[: 1 if context.tiny else None]:
            key = f"{source.name}, target {target:g} GB"
            found |= steps.each({key: partial(_planned, context, source, dataset, target)})
    return found


def _planned(context: Context, source: DataSet, dataset: dict[str, Any], target: float) -> dict[str, Any]:
    from impulse_nnunet.nnunet.planning import plan_dataset

    plans = plan_dataset(source.id, target, f"Plans{target:g}", overrides=source.changes, workers=8, progress_bar=False)
    (configuration,) = plans["configurations"].values()
    name = steps.write_cases(context, 905, plans, dataset)
    trainer = steps.make_trainer(name, "nnUNetTrainerImPulSe", context.device)
    try:
        figures = steps.step_figures(context, trainer, 1 if context.tiny else 6)
    finally:
        steps.closed(trainer)
    kept = ("seconds", "allocated_gb", "reserved_gb", "device_gb")
    return {
        "estimate_gb": configuration["estimates"]["memory_gb"],
        "batch": configuration["batch_size"],
        "grid": configuration["impulse"]["grid"]["input_grid"],
        "widths": configuration["architecture"]["arch_kwargs"]["features_per_stage"],
    } | {key: figures[key] for key in kept if key in figures}


CHECKS = {
    "machine": machine,
    "encode": encode,
    "decode": decode,
    "case": case,
    "train": train,
    "stock_case": stock_case,
    "plan": plan,
    "variants": variants,
}

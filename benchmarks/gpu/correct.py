"""Part ``correct``: does it compute on a GPU what it computes on the CPU?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch

from benchmarks import standin
from benchmarks.gpu import steps
from benchmarks.gpu.context import Context
from benchmarks.gpu.timing import memory

TESTS = ("tests/device", "tests/decoding", "tests/training", "tests/inference", "tests/nnunet", "tests/network")
TIE = 1e-2  # lead of the best class over the second below which either label is right
REPEATED_STEPS = 10


def tests(context: Context) -> dict[str, Any]:
    """The tests marked ``gpu``; in a rehearsal those of them that run on the CPU."""
    report = context.work / "gpu_tests.xml"
    chosen = TESTS[:1] if context.tiny else TESTS
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", f"--junitxml={report}"]
    environment = dict(os.environ) if context.on_gpu else os.environ | {"IMPULSE_TEST_DEVICE": "cpu"}
    root = Path(__file__).resolve().parents[2]
    folders = [name for name in chosen if (root / name).is_dir()]
    finished = subprocess.run(
        [*command, *folders], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    sys.stdout.write(finished.stdout[-20000:] + finished.stderr[-2000:])
    return {"exit_code": finished.returncode} | read_report(report)


def read_report(report: Path) -> dict[str, Any]:
    """Numbers, failures and seconds from a JUnit file."""
    if not report.is_file():
        return {"error": "pytest wrote no report"}
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    bad = {c.get("name"): c[0].get("message", "")[:500] for c in cases if len(c) and c[0].tag in ("failure", "error")}
    return {
        "tests": len(cases),
        "skipped": sum(1 for c in cases if len(c) and c[0].tag == "skipped"),
        "failures": bad,
        "seconds": {c.get("name"): float(c.get("time", 0)) for c in cases},
    }


def systems(context: Context) -> dict[str, Any]:
    """A step of each system in the paper's sizes: loss beside the CPU's in float32, peak memory, finite gradients."""
    context.set_folders()
    small, large = steps.paper_case_set(context, 901, 1), steps.paper_case_set(context, 902, 4)
    from impulse_nnunet.network import SYSTEMS

    return steps.each(
        {
            system.trainer: lambda name=system.trainer: _system(context, name, small, large)
            for system in SYSTEMS.values()
        }
    )


def _system(context: Context, trainer: str, small: str, large: str) -> dict[str, Any]:
    made = steps.make_trainer(small, trainer, context.device)
    batch = next(made.dataloader_val)
    on_cpu = steps.make_trainer(small, trainer, torch.device("cpu"))
    on_cpu.network.load_state_dict({name: value.cpu() for name, value in made.network.state_dict().items()})
    for network in (on_cpu.network, on_cpu.network.localizer):
        if network is not None:
            network.encoder_bfloat16 = False
    with torch.no_grad():
        loss = float(made.validation_step(batch)["loss"])
        by_cpu = float(on_cpu.validation_step(next(on_cpu.dataloader_val))["loss"])
    steps.closed(made)
    steps.closed(on_cpu)
    del on_cpu, made
    if context.on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    full = steps.make_trainer(large, trainer, context.device)
    trained = [float(full.train_step(next(full.dataloader_train))["loss"]) for _ in range(3)]
    finite = all(bool(torch.isfinite(p.grad).all()) for p in full.network.parameters() if p.grad is not None)
    steps.closed(full)
    return {"loss": loss, "loss_cpu": by_cpu, "training_losses": trained, "finite": finite} | memory(context)


def repeat(context: Context) -> dict[str, Any]:
    """Ten steps twice from one seed: are the weights equal, and if not how far apart?"""
    context.set_folders()
    name = steps.paper_case_set(context, 903, 2)
    weights = []
    for _ in range(2):
        trainer = steps.make_trainer(name, "nnUNetTrainerImPulSe", context.device)
        for _ in range(REPEATED_STEPS if not context.tiny else 2):
            trainer.train_step(next(trainer.dataloader_train))
        weights.append({key: value.detach().cpu().float() for key, value in trainer.network.state_dict().items()})
        steps.closed(trainer)
    apart = {key: float((value - weights[1][key]).abs().max()) for key, value in weights[0].items()}
    return {"equal": all(value == 0 for value in apart.values()), "largest_difference": max(apart.values())}


def labels(context: Context) -> dict[str, Any]:
    """Labels of the stand-in's case by CPU and GPU, in each precision of the encoder, side by side."""
    from impulse_nnunet.decoding import OutputGrid, decode_labels
    from impulse_nnunet.inference.encoding import encode_image
    from impulse_nnunet.inference.ensemble import PRECISIONS, Ensemble

    folder = context.standin()
    image, settings = prepared(folder, context)
    grid = OutputGrid.native(image.shape[1:])
    reference_net = loaded(folder, context.sizes)
    for network in (reference_net, reference_net.localizer):
        network.encoder_bfloat16 = False
    expected = encode_image(Ensemble(reference_net, None, torch.device("cpu")), image, settings)
    by_cpu = decode_labels(expected, grid, settings.inference.block_points)
    found: dict[str, Any] = {"voxels": int(by_cpu.size), "foreground": int(np.count_nonzero(by_cpu))}
    for precision in PRECISIONS:
        ensemble = Ensemble(loaded(folder, context.sizes), None, context.device, precision=precision)
        encoded = encode_image(ensemble, image, settings)
        by_device = decode_labels(encoded, grid, settings.inference.block_points)
        differ = np.argwhere(by_cpu != by_device)
        found[precision] = {"differ": len(differ), "box": np.abs(encoded.box.matrix - expected.box.matrix).max()}
        if len(differ):
            found[precision]["outside_ties"] = int(np.count_nonzero(_lead(expected, grid, differ) >= TIE))
    return found


def _lead(encoded: Any, grid: Any, voxels: np.ndarray) -> np.ndarray:
    """How far the best class leads the second at voxels (n, 3)."""
    to_box = grid.to_box(encoded.box)
    points = (voxels @ to_box[:, :3].T + to_box[:, 3]).astype(np.float32)
    best = np.sort(np.concatenate([encoded.evaluate(part)[0] for part in np.array_split(points, 64) if len(part)]), 1)
    return best[:, -1] - best[:, -2]


def loaded(folder: Path, sizes: standin.Sizes) -> Any:
    """The stand-in's network with its weights."""
    network = standin.network(sizes)
    checkpoint = torch.load(folder / "model/fold_0/checkpoint_final.pth", weights_only=False)
    network.load_state_dict(checkpoint["network_weights"])
    return network.eval()


def prepared(folder: Path, context: Context) -> tuple[torch.Tensor, Any]:
    """The stand-in's case as preprocessing leaves it, and the settings of its plans."""
    predictor = ready_predictor(folder, context.device)
    from impulse_nnunet.inference.ensemble import settings_of

    files = [str(folder / "images" / f"{standin.CASE}_0000.nii.gz")]
    return predictor.prepare(standin.CASE, files).image, settings_of(predictor)


def ready_predictor(folder: Path, device: torch.device) -> Any:
    """A predictor with the stand-in's model."""
    from impulse_nnunet.nnunet.predictor import ImPulSePredictor

    predictor = ImPulSePredictor(device, progress_bar=False)
    predictor.initialize_from_trained_model_folder(str(folder / "model"), (0,))
    return predictor


CHECKS = {"tests": tests, "systems": systems, "labels": labels, "repeat": repeat}

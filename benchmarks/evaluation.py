"""Seconds and peak memory of the metrics beside other tools: ``python -m benchmarks.evaluation [--runs 3]``.

One made-up case of 300 x 512 x 512 voxels with 18 segments and two trees. Every tool gets the same arrays in memory and
one core, in a process of its own; times are medians after a run on a small part (compilation, imports).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from impulse_nnunet.runtime.peak_memory import peak_gigabytes, reset_peak

SHAPE, SPACING_MM, TOLERANCES_MM, CLASSES = (300, 512, 512), (1.0, 0.7, 0.7), (1.0, 2.0, 3.0), 19
AGAINST = {
    "nnU-Net compute_metrics": "dice",
    "surface-distance": "nsd_surfel",
    "MONAI, surfel": "nsd_surfel",
    "MONAI, voxel": "nsd_voxel",
}
Arrays = dict[str, np.ndarray]


def main() -> None:
    """Run every job and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="default: 3; slow tools (over 20 s) run once")
    parser.add_argument("--job", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        sys.stdout.write(json.dumps(measure(options.job[0], Path(options.job[1]), options.runs)))
        return
    for row in results(options.runs):
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()


def results(runs: int) -> list[str]:
    """Rows of the Markdown table."""
    rows = ["| what | seconds | peak memory above the arrays, GB | against ours |", "|---|---|---|---|"]
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        make_case(Path(folder))
        for name in JOBS:
            command = [sys.executable, "-m", "benchmarks.evaluation", "--runs", str(runs), "--job", name, folder]
            environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
            finished = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            result = json.loads(finished.stdout.splitlines()[-1])
            found[name] = result["seconds"]
            ratio = f"{result['seconds'] / found[AGAINST[name]]:.0f}x {AGAINST[name]}" if name in AGAINST else ""
            rows.append(f"| {name} | {result['seconds']:.2f} | {result['gigabytes']:.2f} | {ratio} |")
    return rows


def measure(name: str, folder: Path, runs: int) -> dict[str, float]:
    """Median seconds, and peak memory above the arrays, of one job."""
    arrays = {key: np.load(folder / f"{key}.npy") for key in ("reference", "prediction", "airway", "artery")}
    part = {key: np.ascontiguousarray(array[140:150, 200:300, 100:200]) for key, array in arrays.items()}
    JOBS[name](part, folder)
    reset_peak()
    before = peak_gigabytes()
    seconds = []
    for _ in range(runs):
        start = perf_counter()
        JOBS[name](arrays, folder)
        seconds.append(perf_counter() - start)
        if seconds[0] > 20:
            break
    return {"seconds": float(np.median(seconds)), "gigabytes": peak_gigabytes() - before}


def make_case(folder: Path) -> None:
    """Two ellipsoids cut into 10 and 8 segments by nearest seeds, a prediction with moved seeds, two trees."""
    import SimpleITK as sitk
    from scipy.spatial import KDTree

    rng = np.random.default_rng(0)
    axes = [(2 * np.arange(n) + 1) / n - 1 for n in SHAPE]
    arrays = {name: np.zeros(SHAPE, np.uint8) for name in ("reference", "prediction", "airway", "artery")}
    for centre, number, first in ((-0.42, 10, 1), (0.42, 8, 11)):
        lung = sum(
            ((axis - c) / r).reshape([-1 if i == k else 1 for i in range(3)]) ** 2
            for k, (axis, c, r) in enumerate(zip(axes, (0, 0, centre), (0.9, 0.75, 0.38), strict=True))
        )
        indices = np.argwhere(lung < 1)
        points = np.stack([axis[column] for axis, column in zip(axes, indices.T, strict=True)], axis=1)
        seeds = rng.uniform(-0.8, 0.8, (number, 3)) * (1, 0.8, 0.3) + (0, 0, centre)
        for name, noise in (("reference", 0.0), ("prediction", 0.02)):
            nearest = KDTree(seeds + rng.normal(0, 1, seeds.shape) * noise).query(points)[1]
            arrays[name][tuple(indices.T)] = first + nearest
    for name in ("airway", "artery"):
        for label in range(1, CLASSES):
            own = np.argwhere(arrays["reference"] == label)
            for start, end in own[rng.integers(len(own), size=(14, 2))]:
                line = np.rint(start + np.linspace(0, 1, 400)[:, None] * (end - start)).astype(int)
                for offset in np.ndindex(3, 4, 4):
                    arrays[name][tuple(np.clip(line + offset, 0, np.array(SHAPE) - 1).T)] = 1
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(SPACING_MM[::-1])
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"), useCompression=True)


def dice(case: Arrays, _: Path) -> None:
    """Ours, from arrays."""
    from impulse_nnunet.evaluation.overlap import dice_per_label

    dice_per_label(case["reference"], case["prediction"], CLASSES)


def folder_of_eight(processes: int) -> Callable[[Arrays, Path], None]:
    """Eight cases with two trees from .nii.gz to numbers, on processes."""

    def job(_: Arrays, folder: Path) -> None:
        from impulse_nnunet.evaluation.folder import CaseFiles, evaluate_cases
        from impulse_nnunet.evaluation.settings import MetricSettings
        from impulse_nnunet.io.label_scheme import scheme_of_labels

        trees = {name: folder / f"{name}.nii.gz" for name in ("airway", "artery")}
        files = [
            CaseFiles(
                case=str(number),
                reference=folder / "reference.nii.gz",
                prediction=folder / "prediction.nii.gz",
                trees=trees,
            )
            for number in range(8)
        ]
        done = evaluate_cases(files, scheme_of_labels(range(1, CLASSES)), MetricSettings(), processes, progress=False)
        if done.failures:
            raise RuntimeError(str(done.failures))

    return job


def nnunet(case: Arrays, _: Path) -> None:
    """nnU-Net's Dice and counts, from arrays."""
    from nnunetv2.evaluation.evaluate_predictions import compute_metrics

    class FromMemory:
        def read_seg(self, name: str) -> tuple[np.ndarray, dict[str, Any]]:
            return case[name][None], {}

    compute_metrics("reference", "prediction", FromMemory(), list(range(1, CLASSES)))


def nsd(surface: str) -> Callable[[Arrays, Path], None]:
    """Ours, all classes and three tolerances at once."""

    def job(case: Arrays, _: Path) -> None:
        from impulse_nnunet.evaluation.surface import normalised_surface_dice

        normalised_surface_dice(case["reference"], case["prediction"], CLASSES, SPACING_MM, TOLERANCES_MM, surface)

    return job


def surface_distance(case: Arrays, _: Path) -> None:
    """google-deepmind/surface-distance, class by class; three tolerances from one set of distances."""
    from surface_distance import compute_surface_dice_at_tolerance, compute_surface_distances

    for label in range(1, CLASSES):
        pair = compute_surface_distances(case["reference"] == label, case["prediction"] == label, SPACING_MM)
        for tolerance in TOLERANCES_MM:
            compute_surface_dice_at_tolerance(pair, tolerance)


def monai(subvoxels: bool) -> Callable[[Arrays, Path], None]:
    """MONAI, class by class, one tolerance (it measures the distances anew for each)."""

    def job(case: Arrays, _: Path) -> None:
        import torch
        from monai.metrics import compute_surface_dice

        for label in range(1, CLASSES):
            pair = [torch.from_numpy(case[name] == label)[None, None] for name in ("prediction", "reference")]
            compute_surface_dice(*pair, [1.0], include_background=True, spacing=SPACING_MM, use_subvoxels=subvoxels)

    return job


def intrusions(case: Arrays, _: Path) -> None:
    """NI and ID of one tree."""
    from impulse_nnunet.evaluation.intrusions import SegmentSurfaces, find_intrusions

    classes = np.where(case["airway"], case["reference"], np.uint8(0))
    find_intrusions(classes, case["prediction"], SegmentSurfaces(case["prediction"], SPACING_MM))


def whole_case(case: Arrays, _: Path) -> None:
    """Everything that ``impulse_nnunet evaluate`` computes by default, with two trees, from arrays."""
    from impulse_nnunet.evaluation.case import evaluate_case

    trees = {name: case[name] for name in ("airway", "artery")}
    evaluate_case(case["reference"], case["prediction"], CLASSES, SPACING_MM, trees=trees)


def from_files(_: Arrays, folder: Path) -> None:
    """The same, from .nii.gz files."""
    from impulse_nnunet.evaluation.folder import CaseFiles, evaluate_files
    from impulse_nnunet.evaluation.settings import MetricSettings
    from impulse_nnunet.io.label_scheme import scheme_of_labels

    trees = {name: folder / f"{name}.nii.gz" for name in ("airway", "artery")}
    files = CaseFiles(
        case="case", reference=folder / "reference.nii.gz", prediction=folder / "prediction.nii.gz", trees=trees
    )
    evaluate_files(files, scheme_of_labels(range(1, CLASSES)), MetricSettings())


JOBS: dict[str, Callable[[Arrays, Path], None]] = {
    "dice": dice,
    "nsd_voxel": nsd("voxel"),
    "nsd_surfel": nsd("surfel"),
    "intrusions, one tree": intrusions,
    "whole case, two trees": whole_case,
    "whole case from .nii.gz": from_files,
    "8 cases from .nii.gz, -np 1": folder_of_eight(1),
    "8 cases from .nii.gz, -np 2": folder_of_eight(2),
    "nnU-Net compute_metrics": nnunet,
    "surface-distance": surface_distance,
    "MONAI, voxel": monai(False),
    "MONAI, surfel": monai(True),
}


if __name__ == "__main__":
    main()

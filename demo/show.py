"""Picture and scores of the demo: ``python demo/show.py DATASET_FOLDER OUTPUT_FOLDER``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import SimpleITK as sitk

from impulse_nnunet.evaluation.overlap import dice_per_label
from impulse_nnunet.synthetic import LOBES

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.colors import ListedColormap

COLOURS = ListedColormap(["black", "#d62728", "#ff7f0e", "#bcbd22", "#1f77b4", "#17becf"])


def read(path: Path) -> np.ndarray:
    """Voxels (d, h, w), head first."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[::-1]


def main() -> None:
    """Print Dice of each lobe on the test cases and write demo.png."""
    dataset, output = Path(sys.argv[1]), Path(sys.argv[2])
    cases = sorted(path.name.removesuffix(".nii.gz") for path in (output / "predictions").glob("*.nii.gz"))
    scores, rows = [], []
    for case in cases:
        image = read(dataset / f"imagesTs/{case}_0000.nii.gz")
        reference, labels = read(dataset / f"labelsTs/{case}.nii.gz"), read(output / f"predictions/{case}.nii.gz")
        fine = read(output / f"predictions_2.5mm/{case}.nii.gz")
        scores.append(dice_per_label(reference, labels, len(LOBES) + 1))
        rows.append((case, image, reference, labels, fine))
    mean = np.nanmean(scores, axis=0)
    for name, score in zip(LOBES, mean, strict=True):
        sys.stdout.write(f"  {name:<18} Dice {score:.3f}\n")
    sys.stdout.write(f"  mean of {len(cases)} unseen cases: Dice {np.mean(mean):.3f}\n")
    picture = output / "demo.png"
    draw(rows, picture)
    sys.stdout.write(f"Picture: {picture}\nLabels:  {output / 'predictions'}\n")
    if sys.platform == "darwin" or shutil.which("xdg-open"):
        opener = "open" if sys.platform == "darwin" else "xdg-open"
        subprocess.run([opener, str(picture)], check=False, stderr=subprocess.DEVNULL)


def draw(rows: list[tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]], path: Path) -> None:
    """Coronal slices: image, reference, prediction, prediction at twice the resolution."""
    figure, axes = plt.subplots(len(rows), 4, figsize=(13, 2.7 * len(rows)), squeeze=False)
    for row, (case, *volumes) in zip(axes, rows, strict=True):
        for cell, volume, title in zip(row, volumes, ("CT", "reference", "prediction", "at 2.5 mm"), strict=True):
            middle = volume[:, volume.shape[1] // 2]
            if title == "CT":
                cell.imshow(middle, cmap="gray", vmin=-1000, vmax=200)
                cell.set_ylabel(case)
            else:
                cell.imshow(middle, cmap=COLOURS, vmin=0, vmax=5, interpolation="nearest")
            cell.set_title(title)
            cell.set_xticks([])
            cell.set_yticks([])
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()

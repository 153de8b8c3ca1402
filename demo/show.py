"""Scores and picture of the demo: ``python demo/show.py DATASET_FOLDER OUTPUT_FOLDER``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import SimpleITK as sitk

from impulse_nnunet.evaluation.metric_names import label, shown
from impulse_nnunet.io.label_scheme import label_scheme
from impulse_nnunet.outputs.colours import label_style

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.colors import ListedColormap

TREES = ListedColormap(["black", "#4fc3f7", "#5c6bc0", "#e57373"])  # bronchi, arteries, veins
SHOWN = ("Dice", "NSD_2mm", "NIB", "IDB_mm", "NIA", "IDA_mm")


def read(path: Path) -> np.ndarray:
    """Voxels (d, h, w), head first."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[::-1]


def main() -> None:
    """Print the scores of the test cases and write demo.png."""
    dataset, output = Path(sys.argv[1]), Path(sys.argv[2])
    predictions, segments = output / "results" / "predictions", output / "segments"
    cases = sorted(path.name.removesuffix(".nii.gz") for path in predictions.glob("*.nii.gz"))
    print_scores(json.loads((predictions / "summary.json").read_text(encoding="utf-8")), len(cases))
    rows = []
    for case in cases:
        channels = [read(dataset / f"imagesTs/{case}_{number:04d}.nii.gz") for number in range(4)]
        trees = sum(number * (mask > 0) for number, mask in enumerate(channels[1:], 1))
        rows.append((case, channels[0], trees, read(dataset / f"labelsTs/{case}.nii.gz"),
                     read(segments / f"{case}.nii.gz")))  # fmt: skip
    picture = output / "demo.png"
    content = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))
    draw(rows, content, picture)
    sys.stdout.write(f"Picture: {picture}\nReport:  {output / 'results' / 'report.html'}\nLabels:  {segments}\n")
    if sys.platform == "darwin" or shutil.which("xdg-open"):
        opener = "open" if sys.platform == "darwin" else "xdg-open"
        subprocess.run([opener, str(picture)], check=False, stderr=subprocess.DEVNULL)


def print_scores(summary: dict, number: int) -> None:
    """The means over the test cases."""
    sys.stdout.write(f"  mean of {number} unseen cases, 18 segments:\n")
    found = summary["paper"]
    for name in SHOWN:
        sys.stdout.write(f"  {label(name):<16} {shown(name, found[name]):>8}\n")


def draw(rows: list[tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]], content: dict, path: Path) -> None:
    """Coronal slices: CT, predicted bronchi and vessels, reference, segments by both stages."""
    scheme = label_scheme(content, path)
    style = label_style(scheme.names, scheme.lobes)
    colours = ListedColormap(["black", *(style.colour(number) for number in scheme.labels)])
    figure, axes = plt.subplots(len(rows), 4, figsize=(13, 3.1 * len(rows)), squeeze=False)
    titles = ("CT", "bronchi, arteries, veins (predicted)", "segments (reference)", "segments (predicted)")
    for row, (case, *volumes) in zip(axes, rows, strict=True):
        for cell, volume, title in zip(row, volumes, titles, strict=True):
            middle = volume[:, volume.shape[1] // 2]
            if title == "CT":
                cell.imshow(middle, cmap="gray", vmin=-1000, vmax=200)
                cell.set_ylabel(case)
            else:
                palette = TREES if "veins" in title else colours
                cell.imshow(middle, cmap=palette, vmin=0, vmax=palette.N - 1, interpolation="nearest")
            cell.set_title(title, fontsize=10)
            cell.set_xticks([])
            cell.set_yticks([])
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()

"""The figures behind the explanations in docs/results.md, after tools/results.sh OUTPUT 1 4.

``python tools/explain_results.py OUTPUT``. Three tables over the 20 test cases (and all seeds): Dice of true segments
averaged in the cells of a grid over the lungs' box and interpolated back; how many segments a system draws with more
than a tenth of their volume; for each kind of input the share of the lungs' voxels in the right lobe, and among these
in the right segment.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import torch
from torch.nn import functional

from impulse_nnunet.evaluation.overlap import confusion_matrix, dice_from_confusion
from impulse_nnunet.geometry.boxes import bounding_box
from impulse_nnunet.lungs.anatomy import LOBE_OF_SEGMENT

CLASSES = len(LOBE_OF_SEGMENT)
LOBES = np.asarray(LOBE_OF_SEGMENT)
GRIDS = ((4, 5, 5), (8, 10, 10), (16, 20, 20), (32, 40, 40))
MARGIN = 0.05  # as the region of interest has
STUDY = "Dataset807_PhantomStudy"
SYSTEMS = ("deeplabv3", "fcn", "lowres", "impulse", "plus")
INPUTS = (
    "Dataset821_Study_i",
    "Dataset822_Study_ibav",
    STUDY,
    "Dataset823_Study_l",
    "Dataset824_Study_l_truth",
    "Dataset825_Study_lbav",
    "Dataset826_Study_lbav_truth",
)


def main(output: Path) -> None:
    """Print the tables."""
    truth = {path.name: labels_of(path) for path in sorted((output / "nnUNet_raw" / STUDY / "labelsTr").glob("*_9*"))}
    for grid in GRIDS:
        say("grid", grid, f"Dice {100 * np.mean([dice_through(labels, grid) for labels in truth.values()]):.1f} %")
    for system in SYSTEMS:
        shares = [volumes(p) / volumes(truth[name]) for name, p in predictions(output, STUDY, system)]
        say(system, f"{np.mean([np.count_nonzero(share > 0.1) for share in shares]):.1f} of {CLASSES - 1} segments")
    for dataset in INPUTS:
        pairs = [(p, truth[name]) for name, p in predictions(output, dataset, "plus")]
        right = [(LOBES[p] == LOBES[t])[t > 0] for p, t in pairs]
        within = [(p == t)[(t > 0) & (LOBES[p] == LOBES[t])] for p, t in pairs]
        lobe, segment = (100 * np.mean([np.mean(case) for case in cases]) for cases in (right, within))
        say(dataset, f"right lobe {lobe:.1f} %, of these right segment {segment:.1f} %")


def predictions(output: Path, dataset: str, system: str) -> Iterator[tuple[str, np.ndarray]]:
    """File name and labels of each case and seed."""
    folder = output / "nnUNet_results" / dataset
    for path in sorted(folder.glob(f"*__3d_impulse_{system}_200steps_seed*/fold_0/validation/*.nii.gz")):
        yield path.name, labels_of(path)


def dice_through(labels: np.ndarray, grid: tuple[int, int, int]) -> float:
    """Mean Dice of labels that went through a grid over their foreground's box."""
    lower, upper = bounding_box(labels > 0)
    grow = (MARGIN * (upper - lower)).astype(int)
    box = tuple(slice(max(0, a - g), b + g) for a, b, g in zip(lower, upper, grow, strict=True))
    part = labels[box]
    shares = functional.one_hot(torch.from_numpy(part), CLASSES).permute(3, 0, 1, 2)[None].float()
    coarse = functional.adaptive_avg_pool3d(shares, grid)
    fine = functional.interpolate(coarse, size=part.shape, mode="trilinear", align_corners=False)
    confusion = confusion_matrix(part, fine.argmax(1)[0].numpy(), CLASSES)
    return float(np.mean(dice_from_confusion(confusion)))


def volumes(labels: np.ndarray) -> np.ndarray:
    """Voxels of each segment."""
    return np.bincount(labels.ravel(), minlength=CLASSES)[1:]


def labels_of(path: Path) -> np.ndarray:
    """(d, h, w) int64, as nnU-Net orders the axes."""
    return np.ascontiguousarray(np.asarray(nibabel.load(path).dataobj).T.astype(np.int64))


def say(*words: object) -> None:
    """One line."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

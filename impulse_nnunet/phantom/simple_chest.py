"""A small made-up chest data set for the demo and the tests: two lungs, five lobes, CT-like values, nnU-Net raw layout.

The lungs are ellipsoids in a body, cut into lobes by tilted planes that show as thin bright fissures; position, size,
cuts and a smooth warp vary from case to case. Left and right are different labels.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from impulse_nnunet.lungs.anatomy import LOBES

LUNG_HU, BODY_HU, AIR_HU, FISSURE_HU, NOISE_HU = -820.0, 40.0, -1000.0, -600.0, 25.0
LARGEST_WARP = 0.06


@dataclass(frozen=True)
class SyntheticCase:
    """One made-up case.

    Args:
        image: (d, h, w) float32, HU; axes head to foot, front to back, right to left of the patient.
        labels: (d, h, w) uint8, 0 to 5.
    """

    image: np.ndarray
    labels: np.ndarray


def make_case(seed: int, size: tuple[int, int, int] = (48, 56, 64)) -> SyntheticCase:
    """Make a case, deterministic by seed and size.

    Args:
        seed: Seed of everything random.
        size: (d, h, w).
    """
    rng = np.random.default_rng(seed)
    axes = [(2 * np.arange(n) + 1) / n - 1 for n in size]
    position = np.stack(np.meshgrid(*axes, indexing="ij"))
    warp = np.stack([ndimage.zoom(rng.normal(size=(4, 4, 4)), [n / 4 for n in size], order=3) for _ in range(3)])
    position = position + LARGEST_WARP * np.clip(warp / 2, -1, 1)
    labels = np.zeros(size, np.uint8)
    fissures = np.zeros(size)
    for side, (first_label, lobes) in {-1: (1, 3), 1: (4, 2)}.items():
        centre = np.array([0.0, 0.05, 0.40 * side]) + rng.normal(0, 0.03, 3)
        radii = np.array([0.66, 0.48, 0.30]) * (1 + rng.normal(0, 0.06, 3))
        local = (position - centre[:, None, None, None]) / radii[:, None, None, None]
        lung = (local**2).sum(0) < 1
        cuts = np.sort(rng.normal(0, 0.06, lobes - 1) + ([-0.25, 0.15] if lobes == 3 else [0.0]))
        height = local[0] - (0.55 + rng.normal(0, 0.05)) * local[1]
        labels[lung] = (first_label + np.searchsorted(cuts, height))[lung]
        for cut in cuts:
            fissures += np.exp(-(((height - cut) / 0.03) ** 2)) * lung
    body = (position[1] / 0.85) ** 2 + (position[2] / 0.95) ** 2 < 1
    image = np.where(body, BODY_HU, AIR_HU)
    image[labels > 0] = LUNG_HU
    image += fissures * (FISSURE_HU - LUNG_HU)
    image = ndimage.gaussian_filter(image, 0.5) + rng.normal(0, NOISE_HU, size)
    return SyntheticCase(np.round(image).astype(np.float32), labels)


def write_dataset(
    folder: Path, training: int, test: int, size: tuple[int, int, int] = (48, 56, 64), spacing_mm: float = 5.0
) -> None:
    """Write an nnU-Net raw data set.

    Args:
        folder: ``.../nnUNet_raw/DatasetXXX_Name``.
        training: Cases in imagesTr and labelsTr.
        test: Cases in imagesTs and labelsTs.
        size: Voxels (d, h, w).
        spacing_mm: Edge of a voxel.
    """
    for part, first, number in (("Tr", 0, training), ("Ts", training, test)):
        for kind in ("images", "labels"):
            (folder / f"{kind}{part}").mkdir(parents=True, exist_ok=True)
        for seed in range(first, first + number):
            case = make_case(seed, size)
            _write(case.image.astype(np.int16), folder / f"images{part}" / f"chest_{seed:03d}_0000.nii.gz", spacing_mm)
            _write(case.labels, folder / f"labels{part}" / f"chest_{seed:03d}.nii.gz", spacing_mm)
    content = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0} | {name: number for number, name in enumerate(LOBES, 1)},
        "numTraining": training,
        "file_ending": ".nii.gz",
        "licence": "made up by impulse_nnunet, no patient data",
    }
    (folder / "dataset.json").write_text(json.dumps(content, indent=2), encoding="utf-8")


def _write(array: np.ndarray, path: Path, spacing_mm: float) -> None:
    image = sitk.GetImageFromArray(array[::-1])  # ITK's third axis runs from foot to head
    image.SetSpacing((spacing_mm,) * 3)
    sitk.WriteImage(image, str(path), useCompression=True)

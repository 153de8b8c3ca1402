"""Oblique scans of a phantom: labels as of the straight scan, on the image's own grid."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.spatial.transform import Rotation

from impulse_nnunet.nnunet.output_options import OutputOptions
from impulse_nnunet.nnunet.predictor import ImPulSePredictor
from impulse_nnunet.phantom.simple_chest import write_dataset
from tests.end_to_end.conftest import make_workplace, plan

pytestmark = pytest.mark.slow
SETTINGS = (
    "impulse.training.epochs=3",
    "impulse.training.iterations=90",
    "impulse.training.validation_iterations=1",
    "impulse.sampling.points=2048",
    "impulse.region.mode=whole",
    "impulse.grid.input_grid=[40,48,56]",
    "impulse.grid.working_grid=[52,62,72]",
    "batch_size=2",
    "architecture.arch_kwargs.features_per_stage=[8,16,32,32]",
)
TURNS = {"chest_012": {"z25": ("z", 25), "z45": ("z", 44.9)}, "chest_013": {"x25": ("x", 25), "x44": ("x", 44)}}


def oblique(image: sitk.Image, axis: str, degrees: float) -> sitk.Image:
    """The patient as scanned with turned axes, all of it in the field of view."""
    turn = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    spacing, size = np.array(image.GetSpacing()), np.array(image.GetSize())
    new = np.ceil(np.abs(turn.T) @ (size * spacing) / spacing).astype(int)
    centre = np.array(image.TransformContinuousIndexToPhysicalPoint(((size - 1) / 2).tolist()))
    grid = sitk.Image(new.tolist(), sitk.sitkInt16)
    grid.SetSpacing(spacing.tolist())
    grid.SetDirection(turn.ravel().tolist())
    grid.SetOrigin((centre - turn @ (spacing * (new - 1) / 2)).tolist())
    return sitk.Cast(sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, -1000), sitk.sitkInt16)


def dice(found: Path, expected: Path) -> float:
    one, other = (sitk.GetArrayFromImage(sitk.ReadImage(str(file))) for file in (found, expected))
    overlaps = [2 * np.sum((one == n) & (other == n)) / (np.sum(one == n) + np.sum(other == n)) for n in range(1, 6)]
    return float(np.mean(overlaps))


def test_oblique_scans_get_the_labels_of_the_straight_scan(tmp_path):
    """Straight scans are decoded at the very places of the oblique voxels, so no label is resampled."""
    workplace = make_workplace(tmp_path)
    write_dataset(workplace.raw, 12, len(TURNS), (80, 96, 112), 3.5)
    plan(workplace, SETTINGS)
    workplace.run(
        "nnUNetv2_train",
        "990",
        "3d_impulse",
        "all",
        "-tr",
        "nnUNetTrainerImPulSe",
        "-p",
        "ImPulSePlans",
        "-device",
        "cpu",
    )
    images, model = tmp_path / "oblique", ("-d", "990", "-f", "all", "-device", "cpu", "--disable_progress_bar")
    images.mkdir()
    for case, turns in TURNS.items():
        scan = workplace.raw / "imagesTs" / f"{case}_0000.nii.gz"
        (tmp_path / case).mkdir()
        (tmp_path / case / scan.name).symlink_to(scan)
        for name, turn in turns.items():
            sitk.WriteImage(oblique(sitk.ReadImage(str(scan)), *turn), str(images / f"{case}-{name}_0000.nii.gz"))
    workplace.run("impulse_nnunet", "predict", *model, "-i", str(images), "-o", str(tmp_path / "found"))
    found = {}
    predictor = ImPulSePredictor(torch.device("cpu"), progress_bar=False)
    predictor.initialize_from_trained_model_folder(str(workplace.model), ("all",))
    for case, turns in TURNS.items():
        for name in turns:
            output = tmp_path / f"like_{case}-{name}"
            like = OutputOptions(like=str(images / f"{case}-{name}_0000.nii.gz"))
            predictor.predict_folder(tmp_path / case, output, like)  # without loading PyTorch again each time
            found[case, name] = dice(tmp_path / "found" / f"{case}-{name}.nii.gz", output / f"{case}.nii.gz")
    assert min(found.values()) >= 0.97, found  # measured: 0.974 to 0.987

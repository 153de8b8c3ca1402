"""A model and a case for speed where no model at the paper's size can be trained.

The template is the atlas of small phantoms, on the box of their lungs; the heads' last layers have small random
weights; the encoder is the ResNet-18 at 128^3 with random weights; the localizer is trained on phantoms for a minute.
What a trained model costs depends on its widths and grids, which are the paper's, and on how much of the box lies near
a border between segments, which the atlas brings.

The first call makes everything in a folder (some minutes); later calls find it there.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage

from impulse_nnunet.geometry.boxes import Box, bounding_box, faces_from_indices, region_box
from impulse_nnunet.geometry.coordinates import grid_points
from impulse_nnunet.geometry.resampling import image_on_box
from impulse_nnunet.geometry.working_volume import to_working_volume
from impulse_nnunet.network import SYSTEMS, ImPulSeNet, NetworkSettings, Task
from impulse_nnunet.phantom.case import Case, make_case
from impulse_nnunet.phantom.settings import PhantomSettings
from impulse_nnunet.runtime.cpus import usable_cpus
from impulse_nnunet.settings import (
    CONFIGURATION,
    NETWORK_CLASS,
    PLANS,
    GridSettings,
    ImPulSeSettings,
    LossSettings,
    RegionSettings,
    to_json,
)
from impulse_nnunet.training.losses import point_loss
from impulse_nnunet.training.points import labels_at

VERSION = 2  # raised when the same call would make other files
CASE_SEED = 5
CLASSES = 19
CASE = "phantom_00001"
PERCENTILES = {"percentile_00_5": -1000.0, "percentile_99_5": 400.0}  # HU
DEFORMATION, CORRECTION = 0.003, 0.05  # standard deviations of the heads' last weights


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of the model and of the case.

    Args:
        grid: Input and template grid, voxels (d, h, w).
        search_grid: Of the localizer, voxels.
        working_grid: Of the whole image as the encoder's input is taken from it, voxels.
        widths: Channels of the encoder's stages.
        shape: Of the case, voxels.
        spacing_mm: Of the case.
        atlas_size: Of the small phantoms that make the template, voxels.
        atlas_cases: How many.
        localizer_steps: Steps of the localizer's training.
    """

    grid: tuple[int, int, int]
    search_grid: tuple[int, int, int]
    working_grid: tuple[int, int, int]
    widths: tuple[int, ...]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    atlas_size: tuple[int, int, int]
    atlas_cases: int
    localizer_steps: int


PAPER = Sizes(
    grid=(128, 128, 128),
    search_grid=(64, 64, 64),  # what the planner gives the localizer beside such a grid
    working_grid=(192, 232, 232),  # 1.25 times as fine as the grid over the lungs of the case
    widths=(64, 128, 256, 512),
    shape=(300, 512, 512),
    spacing_mm=(1.0, 0.7, 0.7),
    atlas_size=(96, 120, 120),
    atlas_cases=6,
    localizer_steps=120,
)
TINY = Sizes(  # for a rehearsal of the GPU parts
    grid=(32, 32, 32),
    search_grid=(24, 24, 24),
    working_grid=(48, 58, 58),
    widths=(8, 16, 32, 64),
    shape=(48, 64, 64),
    spacing_mm=(6.0, 5.6, 5.6),
    atlas_size=(48, 60, 60),
    atlas_cases=2,
    localizer_steps=60,
)
GRID, SHAPE, WORKING_GRID = PAPER.grid, PAPER.shape, PAPER.working_grid


def default_folder() -> Path:
    """Where the files are kept: ``IMPULSE_BENCHMARK_FOLDER``, or in the folder for temporary files."""
    return Path(os.environ.get("IMPULSE_BENCHMARK_FOLDER", Path(tempfile.gettempdir()) / "impulse_nnunet_benchmarks"))


def made(folder: Path, sizes: Sizes = PAPER, device: torch.device | str = "cpu") -> Path:
    """The folder, filled: ``images/``, ``labels/`` and ``model/`` (with ``fold_0/checkpoint_final.pth``).

    Args:
        folder: Kept from one call to the next; one folder for each sizes.
        sizes: Of model and case.
        device: Where the localizer is trained.
    """
    mark = folder / f"made_{VERSION}"
    if not mark.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("images", "labels", "model/fold_0"):
            (folder / name).mkdir(parents=True)
        wanted = [(PhantomSettings(size=sizes.shape, spacing_mm=sizes.spacing_mm, seed=CASE_SEED), 1)]
        wanted += [(PhantomSettings(size=sizes.atlas_size), number) for number in range(1, sizes.atlas_cases + 1)]
        with ProcessPoolExecutor(usable_cpus(), multiprocessing.get_context("spawn")) as pool:
            case, *small = pool.map(make_case, *zip(*wanted, strict=True))
        _write(case, folder, sizes)
        mean, deviation = float(case.image.mean()), float(case.image.std())
        net = network(sizes)
        net.decoder.template.set_logits(atlas(small, sizes.grid))
        train_localizer(net.localizer.to(device), small, mean, deviation, sizes)
        write_model(folder / "model", net.to("cpu"), sizes, {"mean": mean, "std": deviation})
        mark.touch()
    return folder


def network(sizes: Sizes = PAPER) -> ImPulSeNet:
    """The stand-in without its atlas, its localizer untrained."""
    torch.manual_seed(0)
    settings = NetworkSettings(features_per_stage=sizes.widths, template_grid=sizes.grid)
    net = SYSTEMS["impulse_plus"].build(
        Task(
            settings=settings,
            input_channels=1,
            number_of_classes=CLASSES,
            input_grid=sizes.grid,
            search_grid=sizes.search_grid,
        )
    )
    net.eval()
    torch.nn.init.normal_(net.decoder.deformation.last.weight, 0, DEFORMATION)
    torch.nn.init.normal_(net.decoder.correction.last.weight, 0, CORRECTION)
    return net


def lung_box(folder: Path) -> Any:
    """The box that the first pass of a trained model would find in the case: that of its labels, with margin."""
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "labels" / f"{CASE}.nii.gz")))
    bounds = bounding_box(labels > 0)
    if bounds is None:
        raise ValueError("the phantom has no foreground")
    return region_box(np.stack(faces_from_indices(*bounds, labels.shape)), RegionSettings().margin)


def atlas(cases: Sequence[Case], grid: tuple[int, int, int]) -> torch.Tensor:
    """Log of the segments' frequencies in the box of the lungs: (class, *grid)."""
    frequency = np.zeros((CLASSES, *grid), np.float32)
    for case in cases:
        labels = case.labels["segments"]
        bounds = bounding_box(labels > 0)
        if bounds is None:
            raise ValueError("the phantom has no foreground")
        box = region_box(np.stack(faces_from_indices(*bounds, labels.shape)), RegionSettings().margin)
        axes = [(2 * np.arange(n) + 1) / n - 1 for n in grid]
        half, shape = np.diag(box.matrix), np.array(labels.shape)
        places = [(half[a] * axes[a] + box.centre[a] + 1) / 2 * shape[a] - 0.5 for a in range(3)]
        nearest = np.ix_(*(np.clip(np.rint(p), 0, n - 1).astype(int) for p, n in zip(places, shape, strict=True)))
        for label in range(CLASSES):
            frequency[label] += labels[nearest] == label
    smooth = np.stack([ndimage.gaussian_filter(channel, 1.0) for channel in frequency])
    return torch.from_numpy(np.log(smooth + 0.5))


def train_localizer(localizer: ImPulSeNet, cases: Sequence[Case], mean: float, deviation: float, sizes: Sizes) -> None:
    """Teach a localizer where the lungs of the cases are, every voxel of its grid a point."""
    points = grid_points(sizes.search_grid).reshape(1, -1, 3)
    device = next(localizer.parameters()).device
    optimiser = torch.optim.AdamW(localizer.parameters(), 1e-3)
    localizer.train()
    for step in range(sizes.localizer_steps):
        case = cases[step % len(cases)]
        volume = to_working_volume(torch.from_numpy((case.image[None] - mean) / deviation), sizes.atlas_size)
        image = image_on_box(volume, Box.whole(), sizes.search_grid)[None]
        labels = labels_at(case.labels["segments"], Box.whole(), points[0].numpy(), None)
        foreground = torch.from_numpy(np.minimum(labels, 1))[None]
        loss = point_loss(localizer(image.to(device), points.to(device)), foreground.to(device), LossSettings())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    localizer.eval()


def _write(case: Case, folder: Path, sizes: Sizes) -> None:
    for name, array in (("images", case.image), ("labels", case.labels["segments"])):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(sizes.spacing_mm[::-1])
        ending = "_0000.nii.gz" if name == "images" else ".nii.gz"
        sitk.WriteImage(image, str(folder / name / f"{CASE}{ending}"), useCompression=True)


def write_model(folder: Path, net: ImPulSeNet, sizes: Sizes, intensity: dict[str, float]) -> None:
    """Write a trained model's folder: plans.json, dataset.json and the checkpoint of fold 0."""
    dataset = dataset_json(1, sizes)
    (folder / "dataset.json").write_text(json.dumps(dataset))
    (folder / "plans.json").write_text(json.dumps(plans(1, sizes, intensity)))
    checkpoint = {
        "network_weights": net.state_dict(),
        "trainer_name": "nnUNetTrainerImPulSe",
        "init_args": {"configuration": CONFIGURATION},
        "inference_allowed_mirroring_axes": None,
    }
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")


def dataset_json(channels: int, sizes: Sizes) -> dict[str, Any]:
    """A CT and masks, if there are more channels; the segments as labels."""
    names = {str(number): "CT" if number == 0 else "noNorm" for number in range(channels)}
    labels = {"background": 0, **{f"segment_{i}": i for i in range(1, CLASSES)}}
    return {"channel_names": names, "labels": labels, "numTraining": sizes.atlas_cases, "file_ending": ".nii.gz"}


def plans(channels: int, sizes: Sizes, intensity: dict[str, float], batch_size: int = 4) -> dict[str, Any]:
    """Plans of the paper's sizes, or of others, with two passes and a localizer."""
    settings = ImPulSeSettings(
        grid=GridSettings(sizes.grid, sizes.working_grid),
        region=RegionSettings(mode="two_pass", search_grid=sizes.search_grid),
    )
    extent = np.array(sizes.shape) * sizes.spacing_mm
    configuration = {
        "data_identifier": CONFIGURATION,
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": batch_size,
        "patch_size": [],
        "median_image_size_in_voxels": sizes.shape,
        "spacing": sizes.spacing_mm,
        "normalization_schemes": ["CTNormalization", *["NoNormalization"] * (channels - 1)],
        "use_mask_for_norm": [False] * channels,
        "batch_dice": True,
        **{f"resampling_fn_{what}": "no_resampling_hack" for what in ("data", "seg", "probabilities")},
        **{f"resampling_fn_{what}_kwargs": {} for what in ("data", "seg", "probabilities")},
        "architecture": {
            "network_class_name": NETWORK_CLASS,
            "arch_kwargs": to_json(NetworkSettings(features_per_stage=sizes.widths, template_grid=sizes.grid)),
            "_kw_requires_import": [],
        },
        "impulse": to_json(settings),
        "estimates": {"extent_mm": extent.tolist()},
    }
    foreground = {str(number): intensity | PERCENTILES for number in range(channels)}
    return {
        "dataset_name": "Dataset000_StandIn",
        "plans_name": PLANS,
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "label_manager": "LabelManager",
        "experiment_planner_used": "ImPulSePlanner",
        "configurations": {CONFIGURATION: configuration},
        "foreground_intensity_properties_per_channel": foreground,
        "original_median_spacing_after_transp": sizes.spacing_mm,
        "original_median_shape_after_transp": sizes.shape,
    }

"""A model and a case for speed where no model at the paper's size can be trained.

The template is the atlas of small phantoms, on the box of their lungs; the heads' last layers have small random
weights; the encoder is the ResNet-18 at 128^3 with random weights; the finder is trained on the phantoms for a minute.
What a trained model costs depends on its widths and grids, which are the paper's, and on how much of the box lies near
a border between segments, which the atlas brings.

The first call makes everything in a folder (some minutes); later calls find it there.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage

from impulse_nnunet.coordinates import Box, bounding_box, faces_from_indices, grid_points
from impulse_nnunet.network import SYSTEMS, ImPulSeNet, NetworkSettings, Task
from impulse_nnunet.phantom.case import Case, make_case
from impulse_nnunet.phantom.settings import PhantomSettings
from impulse_nnunet.preprocessing.working_volume import to_working_volume
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
from impulse_nnunet.training.boxes import region_box
from impulse_nnunet.training.images import image_on_box
from impulse_nnunet.training.losses import point_loss
from impulse_nnunet.training.points import labels_at

VERSION = 2  # raised when the same call would make other files
GRID = (128, 128, 128)
SEARCH_GRID = (64, 64, 64)  # what the planner gives the finder beside such a grid
WORKING_GRID = (192, 232, 232)  # 1.25 times as fine as the grid over the lungs of the case
SHAPE, SPACING_MM = (300, 512, 512), (1.0, 0.7, 0.7)
ATLAS_CASES, ATLAS_SIZE = 6, (96, 120, 120)
FINDER_STEPS = 120
CASE_SEED = 5
CLASSES = 19
CASE = "phantom_00001"
DEFORMATION, CORRECTION = 0.003, 0.05  # standard deviations of the heads' last weights


def default_folder() -> Path:
    """Where the files are kept: ``IMPULSE_BENCHMARK_FOLDER``, or in the folder for temporary files."""
    return Path(os.environ.get("IMPULSE_BENCHMARK_FOLDER", Path(tempfile.gettempdir()) / "impulse_nnunet_benchmarks"))


def made(folder: Path) -> Path:
    """The folder, filled: ``images/``, ``labels/`` and ``model/`` (with ``fold_0/checkpoint_final.pth``)."""
    mark = folder / f"made_{VERSION}"
    if not mark.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("images", "labels", "model/fold_0"):
            (folder / name).mkdir(parents=True)
        case = make_case(PhantomSettings(SHAPE, SPACING_MM, CASE_SEED), 1)
        _write(case, folder)
        small = [make_case(PhantomSettings(ATLAS_SIZE), number) for number in range(1, ATLAS_CASES + 1)]
        _write_model(folder / "model", small, float(case.image.mean()), float(case.image.std()))
        mark.touch()
    return folder


def network() -> ImPulSeNet:
    """The stand-in without its atlas, its finder untrained."""
    torch.manual_seed(0)
    net = SYSTEMS["impulse_plus"].build(
        Task(NetworkSettings(template_grid=GRID), 1, CLASSES, GRID, search_grid=SEARCH_GRID)
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


def atlas(cases: Sequence[Case]) -> torch.Tensor:
    """Log of the segments' frequencies in the box of the lungs: (class, *GRID)."""
    frequency = np.zeros((CLASSES, *GRID), np.float32)
    for case in cases:
        labels = case.labels["segments"]
        bounds = bounding_box(labels > 0)
        if bounds is None:
            raise ValueError("the phantom has no foreground")
        box = region_box(np.stack(faces_from_indices(*bounds, labels.shape)), RegionSettings().margin)
        axes = [(2 * np.arange(n) + 1) / n - 1 for n in GRID]
        half, shape = np.diag(box.matrix), np.array(labels.shape)
        places = [(half[a] * axes[a] + box.centre[a] + 1) / 2 * shape[a] - 0.5 for a in range(3)]
        nearest = np.ix_(*(np.clip(np.rint(p), 0, n - 1).astype(int) for p, n in zip(places, shape, strict=True)))
        for label in range(CLASSES):
            frequency[label] += labels[nearest] == label
    smooth = np.stack([ndimage.gaussian_filter(channel, 1.0) for channel in frequency])
    return torch.from_numpy(np.log(smooth + 0.5))


def train_finder(finder: ImPulSeNet, cases: Sequence[Case], mean: float, deviation: float) -> None:
    """Teach a finder where the lungs of the cases are, every voxel of its grid a point."""
    points = grid_points(SEARCH_GRID).reshape(1, -1, 3)
    optimiser = torch.optim.AdamW(finder.parameters(), 1e-3)
    finder.train()
    for step in range(FINDER_STEPS):
        case = cases[step % len(cases)]
        volume = to_working_volume(torch.from_numpy((case.image[None] - mean) / deviation), ATLAS_SIZE)
        image = image_on_box(volume, Box.whole(), SEARCH_GRID)[None]
        labels = labels_at(case.labels["segments"], Box.whole(), points[0].numpy(), None)
        foreground = torch.from_numpy(np.minimum(labels, 1))[None]
        loss = point_loss(finder(image, points), foreground, LossSettings())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    finder.eval()


def _write(case: Case, folder: Path) -> None:
    for name, array in (("images", case.image), ("labels", case.labels["segments"])):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(SPACING_MM[::-1])
        ending = "_0000.nii.gz" if name == "images" else ".nii.gz"
        sitk.WriteImage(image, str(folder / name / f"{CASE}{ending}"), useCompression=True)


def _write_model(folder: Path, cases: Sequence[Case], mean: float, deviation: float) -> None:
    labels = {"background": 0, **{f"segment_{i}": i for i in range(1, CLASSES)}}
    dataset = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": ATLAS_CASES, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(dataset))
    intensity = {"mean": mean, "std": deviation, "percentile_00_5": -1000.0, "percentile_99_5": 400.0}
    settings = ImPulSeSettings(GridSettings(GRID, WORKING_GRID), RegionSettings("two_pass", search_grid=SEARCH_GRID))
    configuration = {
        "data_identifier": CONFIGURATION, "preprocessor_name": "DefaultPreprocessor", "batch_size": 4, "patch_size": [],
        "median_image_size_in_voxels": SHAPE, "spacing": SPACING_MM, "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False], "batch_dice": True,
        **{f"resampling_fn_{what}": "no_resampling_hack" for what in ("data", "seg", "probabilities")},
        **{f"resampling_fn_{what}_kwargs": {} for what in ("data", "seg", "probabilities")},
        "architecture": {
            "network_class_name": NETWORK_CLASS,
            "arch_kwargs": to_json(NetworkSettings(template_grid=GRID)),
            "_kw_requires_import": [],
        },
        "impulse": to_json(settings),
    }  # fmt: skip
    plans = {
        "dataset_name": "Dataset000_StandIn", "plans_name": PLANS, "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2], "label_manager": "LabelManager",
        "experiment_planner_used": "ImPulSePlanner", "configurations": {CONFIGURATION: configuration},
        "foreground_intensity_properties_per_channel": {"0": intensity},
        "original_median_spacing_after_transp": SPACING_MM, "original_median_shape_after_transp": SHAPE,
    }  # fmt: skip
    (folder / "plans.json").write_text(json.dumps(plans))
    net = network()
    net.decoder.template.set_logits(atlas(cases))
    train_finder(net.finder, cases, mean, deviation)
    checkpoint = {
        "network_weights": net.state_dict(), "trainer_name": "nnUNetTrainerImPulSe",
        "init_args": {"configuration": CONFIGURATION}, "inference_allowed_mirroring_axes": None,
    }  # fmt: skip
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")

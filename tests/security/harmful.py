"""Files that would do harm if they were opened carelessly; the harm is a marker file."""

import json
import zipfile
from pathlib import Path

import torch

from impulse_nnunet.settings import NETWORK_CLASS, to_json
from tests.support import SMALL, perturb_heads, settings_for, small_network

MODEL = "Dataset007_Small/nnUNetTrainerImPulSe__ImPulSePlans__3d_impulse"


class Harmful:
    """Writes a marker file when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return Path.touch, (Path(self.marker),)


def checkpoint_content(**changes):
    """What nnU-Net saves, of a small network with 2 channels and 3 classes."""
    import numpy as np

    torch.manual_seed(0)
    network = perturb_heads(small_network())
    optimiser = torch.optim.AdamW(network.parameters())
    sum(weight.sum() for weight in network.parameters()).backward()
    optimiser.step()
    content = {
        "network_weights": network.state_dict(),
        "optimizer_state": optimiser.state_dict(),
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5), np.float32(0.25)], "epoch_end_timestamps": [1.0]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 1,
        "init_args": {"configuration": "3d_impulse", "fold": 0, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainerImPulSe",
        "inference_allowed_mirroring_axes": None,
    }
    return content | changes


def plans_content(**changes):
    configuration = {
        "batch_size": 4,
        "preprocessor_name": "DefaultPreprocessor",
        "normalization_schemes": ["CTNormalization", "NoNormalization"],
        "resampling_fn_data": "no_resampling_hack",
        "impulse": to_json(settings_for()),
        "architecture": {
            "network_class_name": NETWORK_CLASS,
            "arch_kwargs": to_json(SMALL),
            "_kw_requires_import": [],
        },
    }
    plans = {
        "dataset_name": "Dataset007_Small",
        "plans_name": "ImPulSePlans",
        "image_reader_writer": "SimpleITKIO",
        "label_manager": "LabelManager",
        "configurations": {"3d_impulse": configuration},
    }
    return plans | changes


DATASET_JSON = {
    "labels": {"background": 0, "a": 1, "b": 2},
    "channel_names": {"0": "CT", "1": "noNorm"},
    "file_ending": ".nii.gz",
}


def write_model(results, **changes):
    """A model folder of a small network below a results folder; ``changes`` go into its checkpoint."""
    folder = Path(results) / MODEL
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans_content()))
    (folder / "dataset.json").write_text(json.dumps(DATASET_JSON))
    torch.save(checkpoint_content(**changes), folder / "fold_0" / "checkpoint_final.pth")
    return folder


def zip_of(folder, path):
    """A zip file of everything below a folder, as nnU-Net's export makes it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return path

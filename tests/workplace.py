"""A tiny data set, planned, preprocessed and trained once by the printed commands; many tests then use the model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from impulse_nnunet.phantom.simple_chest import write_dataset
from impulse_nnunet.runtime.environment import needed_variables

DATASET = "Dataset990_Tiny"
SIZE = (24, 28, 32)
TINY = (
    "impulse.training.epochs=2",
    "impulse.training.iterations=6",
    "impulse.training.validation_iterations=2",
    "impulse.sampling.points=512",
    "impulse.region.mode=two_pass",
    "impulse.region.search_grid=[12,16,16]",
    "architecture.arch_kwargs.features_per_stage=[8,16,16,32]",
)
TRAIN = (
    "nnUNetv2_train",
    "990",
    "3d_impulse",
    "0",
    "-tr",
    "nnUNetTrainerImPulSe",
    "-p",
    "ImPulSePlans",
    "-device",
    "cpu",
)
MODEL = ("-d", "990", "-c", "3d_impulse", "-tr", "nnUNetTrainerImPulSe", "-p", "ImPulSePlans", "-f", "0")


@dataclass(frozen=True)
class Workplace:
    """nnU-Net's folders and the environment that names them."""

    base: Path
    environment: dict[str, str]

    def run(self, *command: str, expect: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run an installed command as a user would, and check its exit code."""
        executable = Path(sys.executable).parent / command[0]
        finished = subprocess.run(
            [str(executable), *command[1:]],
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )
        assert finished.returncode == expect, f"{command}\n{finished.stdout[-3000:]}\n{finished.stderr[-3000:]}"
        return finished

    @property
    def raw(self) -> Path:
        return self.base / "nnUNet_raw" / DATASET

    @property
    def preprocessed(self) -> Path:
        return self.base / "nnUNet_preprocessed" / DATASET

    @property
    def model(self) -> Path:
        return self.base / "nnUNet_results" / DATASET / "nnUNetTrainerImPulSe__ImPulSePlans__3d_impulse"


def make_workplace(base: Path) -> Workplace:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("nnUNet")}
    environment |= needed_variables(environment, base)
    environment |= {"nnUNet_def_n_proc": "1", "nnUNet_n_proc_DA": "1", "PYTHONWARNINGS": "ignore"}
    return Workplace(base, environment)


def plan(workplace: Workplace, settings: Sequence[str] = TINY, *extra: str) -> subprocess.CompletedProcess[str]:
    sets = [part for setting in settings for part in ("--set", setting)]
    return workplace.run(
        "impulse_nnunet", "plan_and_preprocess", "-d", "990", "-npfp", "1", "-np", "2", "--no_pbar", *sets, *extra
    )


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    workplace = make_workplace(tmp_path_factory.mktemp("nnunet"))
    write_dataset(workplace.raw, training=8, test=3, size=SIZE, spacing_mm=8.0)
    plan(workplace)
    return workplace


@pytest.fixture(scope="session")
def trained(planned: Workplace) -> Workplace:
    planned.run(*TRAIN, "--npz", impulse_tensorboard_enabled="1")
    return planned


@pytest.fixture(scope="session")
def labels(trained: Workplace) -> Path:
    """What stock nnUNetv2_predict writes for the test images, with probabilities."""
    output = trained.base / "stock_predict"
    trained.run(
        "nnUNetv2_predict",
        *MODEL,
        "-i",
        str(trained.raw / "imagesTs"),
        "-o",
        str(output),
        "-device",
        "cpu",
        "-npp",
        "1",
        "-nps",
        "1",
        "--save_probabilities",
    )
    return output

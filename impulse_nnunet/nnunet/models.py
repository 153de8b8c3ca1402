"""Model folders: everything is read as what it is, checked, and only then made into a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import Tensor, nn

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.json_files import read_json_object
from impulse_nnunet.network.weight_names import with_current_names
from impulse_nnunet.security.checkpoints import load_checkpoint
from impulse_nnunet.security.plans import check_dataset_json, check_plans

CHECK_MODEL = "check `model_training_output_dir`, or `dataset`, `trainer`, `plans` and `configuration`"
LEAVE = "use the model folder as training left it"
BUILDING_ERRORS = (RuntimeError, KeyError, ValueError, TypeError, AttributeError, ImportError, IndexError)


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a model folder says of itself.

    Args:
        folder: The folder.
        plans: Content of plans.json.
        dataset_json: Content of dataset.json.
        class_names: Classes and functions that the plans name.
    """

    folder: Path
    plans: dict[str, Any]
    dataset_json: dict[str, Any]
    class_names: list[str]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A checkpoint's content, as far as prediction needs it.

    Args:
        path: The file.
        weights: Name -> tensor.
        trainer: Name of the trainer's class.
        configuration: Configuration of the plans.
        mirroring_axes: nnU-Net's ``inference_allowed_mirroring_axes``.
    """

    path: Path
    weights: dict[str, Tensor]
    trainer: str
    configuration: str
    mirroring_axes: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A network with the weights of its first fold, and what came with it.

    Args:
        network: The network.
        plans_manager: nnU-Net's.
        configuration_manager: nnU-Net's, of the configuration that was trained.
        description: plans.json and dataset.json.
        folds: All folds.
    """

    network: nn.Module
    plans_manager: PlansManager
    configuration_manager: ConfigurationManager
    description: Description
    folds: list[Fold]


def check_model_folder(folder: Path) -> None:
    """Refuse what is not the folder of a trained model.

    Raises:
        InputError: Naming what is missing.
    """
    for name in ("dataset.json", "plans.json"):
        if not (folder / name).is_file():
            raise InputError(str(folder), f"no {name}", "a folder of a trained model", CHECK_MODEL)


def describe(folder: Path) -> Description:
    """Read and check plans.json and dataset.json.

    Raises:
        InputError: One of them is missing, no JSON, or says what it may not.
    """
    plans = read_json_object(folder / "plans.json", "a trained model's plans")
    dataset_json = read_json_object(folder / "dataset.json", "a trained model's dataset.json")
    names = check_plans(plans, str(folder / "plans.json"))
    check_dataset_json(dataset_json, str(folder / "dataset.json"))
    return Description(folder=folder, plans=plans, dataset_json=dataset_json, class_names=names)


def read_fold(path: Path) -> Fold:
    """Read a checkpoint without running anything in it.

    Raises:
        InputError: It is not a checkpoint of nnU-Net's, or holds anything but weights and numbers.
    """
    content = load_checkpoint(path)
    arguments = content.get("init_args")
    configuration = arguments.get("configuration") if isinstance(arguments, dict) else None
    weights, trainer = content.get("network_weights"), content.get("trainer_name")
    named = isinstance(weights, dict) and all(isinstance(value, Tensor) for value in weights.values())
    if not named or not isinstance(configuration, str) or not isinstance(trainer, str):
        expected = "a checkpoint of nnU-Net, with network_weights, trainer_name and init_args"
        raise InputError(str(path), "other content", expected, LEAVE)
    axes = content.get("inference_allowed_mirroring_axes")
    return Fold(
        path=path,
        weights=with_current_names(weights or {}),
        trainer=trainer,
        configuration=configuration,
        mirroring_axes=None if axes is None else tuple(axes),
    )


def trained_folds(folder: Path, checkpoint_name: str, setting: str = "use_folds") -> tuple[int | str, ...]:
    """Folds of a model folder: the numbered ones, else ``all``; all of them have to be trained to the end.

    Args:
        folder: Of the model.
        checkpoint_name: Of each fold.
        setting: That chooses folds, for messages.

    Raises:
        InputError: There is none, or one without the checkpoint: an average of fewer folds must be asked for.
    """
    names = [path.name.removeprefix("fold_") for path in folder.glob("fold_*") if path.is_dir()]
    trained = [name for name in names if (folder / f"fold_{name}" / checkpoint_name).is_file()]
    numbered = sorted(int(name) for name in names if name.isdigit())
    chosen: list[int | str] = [*numbered] if any(name.isdigit() for name in trained) else ["all"]
    unfinished = [fold for fold in chosen if str(fold) not in trained]
    if unfinished == ["all"]:
        raise InputError(str(folder), f"no fold with {checkpoint_name}", "a trained model", "finish a training")
    if unfinished:
        some = " ".join(str(fold) for fold in chosen if fold not in unfinished)
        raise InputError(
            str(folder / f"fold_{unfinished[0]}"),
            f"no {checkpoint_name}",
            "every fold trained to its end",
            f"finish its training, or choose the others with `{setting}` {some}",
        )
    return tuple(chosen)


def load_model(folder: Path, folds: Sequence[int | str], checkpoint_name: str) -> LoadedModel:
    """Load a model for prediction.

    Args:
        folder: Folder of the model.
        folds: Folds to load.
        checkpoint_name: Checkpoint name of each of them.

    Raises:
        InputError: Something is unsafe, missing, or does not fit.
    """
    description = describe(folder)
    loaded = [read_fold(folder / f"fold_{fold}" / checkpoint_name) for fold in folds]
    for fold in loaded[1:]:
        if (fold.trainer, fold.configuration) != (loaded[0].trainer, loaded[0].configuration):
            raise InputError(
                str(fold.path),
                f"{fold.trainer}, {fold.configuration}",
                "the other folds' trainer and configuration",
                LEAVE,
            )
    plans_manager = PlansManager(description.plans)
    configuration_manager = _configuration(plans_manager, loaded[0])
    build = _Builder(
        plans_manager=plans_manager,
        configuration_manager=configuration_manager,
        dataset_json=description.dataset_json,
        trainer=loaded[0].trainer,
    )
    with torch.device("meta"):  # sizes only: a plans file can ask for a network larger than the memory
        shapes = {name: tuple(value.shape) for name, value in build(folder).state_dict().items()}
    for fold in loaded:
        _check_fit(fold, shapes)
    network = build(folder)
    network.load_state_dict(loaded[0].weights)
    return LoadedModel(
        network=network,
        plans_manager=plans_manager,
        configuration_manager=configuration_manager,
        description=description,
        folds=loaded,
    )


@dataclass(frozen=True, kw_only=True)
class _Builder:
    plans_manager: PlansManager
    configuration_manager: ConfigurationManager
    dataset_json: Mapping[str, Any]
    trainer: str

    def __call__(self, folder: Path) -> nn.Module:
        try:
            channels = determine_num_input_channels(self.plans_manager, self.configuration_manager, self.dataset_json)
            heads = self.plans_manager.get_label_manager(self.dataset_json).num_segmentation_heads
            network: nn.Module = _trainer_class(self.trainer, folder).build_network_architecture(
                self.plans_manager, self.configuration_manager, channels, heads, enable_deep_supervision=False
            )
        except InputError:
            raise
        except BUILDING_ERRORS as error:
            reason = " ".join(str(error).split())[:120]
            raise InputError(
                str(folder / "plans.json"), f"a network that cannot be built ({reason})", "one that can", LEAVE
            ) from error
        return network


def _configuration(plans_manager: PlansManager, fold: Fold) -> ConfigurationManager:
    known = plans_manager.available_configurations
    if fold.configuration not in known:
        raise InputError(str(fold.path), f"the configuration {fold.configuration!r}", ", ".join(known), LEAVE)
    try:
        return plans_manager.get_configuration(fold.configuration)
    except (RuntimeError, ValueError) as error:  # inheritance in a circle, or from nothing
        where = str(fold.path.parents[1] / "plans.json")
        raise InputError(where, str(error)[:160], "nnU-Net's plans", LEAVE) from error


def _trainer_class(name: str, folder: Path) -> type[nnUNetTrainer]:
    try:
        found = recursive_find_trainer_class_by_name(name) if name.isidentifier() else None
    except (RuntimeError, TypeError, AssertionError):  # there is none of this name, or it is not a trainer
        found = None
    if not isinstance(found, type) or not issubclass(found, nnUNetTrainer):
        raise InputError(
            str(folder),
            f"a model of the trainer {name[:80]!r}",
            "one of this package's or nnU-Net's",
            "install the package that it was trained with",
        )
    return found


def _check_fit(fold: Fold, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse weights of another network, by the first name or shape that differs; and weights that are no numbers."""
    found = {name: tuple(value.shape) for name, value in fold.weights.items()}
    differing = sorted(name for name in found.keys() | shapes.keys() if found.get(name) != shapes.get(name))
    if differing:
        name = differing[0]
        raise InputError(
            str(fold.path),
            f"{name}: {found.get(name, 'none')}, a checkpoint that does not fit its plans",
            f"{shapes.get(name, 'no such weights')}",
            LEAVE,
        )
    for name, value in fold.weights.items():
        if not bool(torch.isfinite(value).all()):
            raise InputError(str(fold.path), f"{name}: NaN or infinite weights", "finite numbers", LEAVE)

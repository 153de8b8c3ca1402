"""Where the anatomy masks of each case come from: ground truth, a folder of label maps, or a trained model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.grid import read_file_grid
from impulse_nnunet.io.label_maps import read_label_map
from impulse_nnunet.io.same_grid import check_same_grid
from impulse_nnunet.lungs.anatomy import BAV, LOBES, TREE_FOLDERS_OF_BAV
from impulse_nnunet.lungs.label_mapping import (
    LabelMapping,
    lobes_of_segments,
    mapping_from_dataset_json,
    mapping_from_tokens,
)
from impulse_nnunet.lungs.models import ShapeModel, is_model_folder, read_model
from impulse_nnunet.lungs.prediction import PredictionOptions, predict_unseen
from impulse_nnunet.lungs.raw_dataset import LungCase, LungDataset
from impulse_nnunet.preprocessing.survey import for_all_cases

GROUND_TRUTH = "ground_truth"
WANTED = {"bav": BAV, "lobes": tuple(LOBES)}
LABELS_OF = {"bav": "bav_labels", "lobes": "lobe_labels"}  # the setting that maps their values


@dataclass(frozen=True, kw_only=True)
class AnatomyMasks:
    """The anatomy masks of one case: files, and how they are read.

    Args:
        names: What is shown, e.g. bronchus, artery, vein.
        files: One file for each name, or one label map of them all.
        mapping: Mapping of a label map; None where each name has a file of its own.
        origin: Where they come from, in words, for the record.
        predicted: A model made them, so they may be empty or wrong.
    """

    names: tuple[str, ...]
    files: tuple[Path, ...]
    mapping: LabelMapping | None
    origin: str
    predicted: bool = False

    def masks(self, image: Path) -> dict[str, np.ndarray]:
        """Read the masks: name -> (d, h, w) bool.

        Args:
            image: The CT, whose grid they must have.

        Raises:
            InputError: A file is bad or on another grid, or a value has no meaning.
        """
        maps = [read_label_map(file) for file in self.files]
        grid = read_file_grid(image)
        for found in maps:
            check_same_grid(found.grid, grid, str(found.path), str(image))
        if self.mapping is None:
            return {name: found.labels > 0 for name, found in zip(self.names, maps, strict=True)}
        index = self.mapping.index_map(maps[0].labels, str(self.files[0]))
        return {name: index == number for number, name in enumerate(self.names, 1)}


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What a user says of one kind of anatomy masks.

    Args:
        part: ``bav`` or ``lobes``.
        source: ``ground_truth``, a model's folder or a folder of label maps.
        labels: Mapping of the values, as ``name=values``; by the dataset.json beside the files if empty.
        folds: Folds of a model; all by default.
        checkpoint: Name of the model's checkpoints.
    """

    part: str
    source: str
    labels: tuple[str, ...] = ()
    folds: tuple[str, ...] | None = None
    checkpoint: str = "checkpoint_final.pth"

    @property
    def wanted(self) -> tuple[str, ...]:
        """What the masks show."""
        return WANTED[self.part]

    def model(self) -> ShapeModel | None:
        """The model, if the source is one."""
        if self.source == GROUND_TRUTH or not is_model_folder(Path(self.source)):
            return None
        return read_model(Path(self.source), self.part, self.folds, self.checkpoint)

    def mapping(self, *dataset_jsons: Path) -> LabelMapping:
        """The mapping that the user gave, or that of the first dataset.json that exists."""
        if self.labels:
            return mapping_from_tokens(LABELS_OF[self.part], self.labels, self.wanted)
        path = next((path for path in dataset_jsons if path.is_file()), dataset_jsons[0])
        return mapping_from_dataset_json(path, self.wanted, f"`{LABELS_OF[self.part]}`")


def find_masks(
    options: SourceOptions, dataset: LungDataset, output: Path, prediction: PredictionOptions
) -> dict[str, AnatomyMasks]:
    """Find the anatomy masks of every case of a data set; cases that a model never had are predicted now.

    Args:
        options: The source.
        dataset: The CT data set.
        output: Folder for predictions.
        prediction: Device and speed.

    Returns:
        Case identifier -> masks.

    Raises:
        InputError: The source as a whole is unfit.
        CasesFailedError: It is for some cases: leakage, missing files.
    """
    model = options.model()
    if model is not None:
        return _from_model(model, options, dataset, output, prediction)
    if options.source == GROUND_TRUTH:
        find = _ground_truth_lobes if options.part == "lobes" else _ground_truth_bav
        return _of_each(lambda case: find(dataset, case), dataset)
    folder = Path(options.source)
    if not folder.is_dir():
        raise InputError(
            f"`{options.part}` {options.source}",
            "no such folder",
            f"{GROUND_TRUTH}, the folder of a trained model, or a folder of label maps",
            "check the path",
        )
    mapping = options.mapping(folder / "dataset.json", folder.parent / "dataset.json")
    return _of_each(lambda case: _from_folder(folder, mapping, options.wanted, dataset, case), dataset)


def has_ground_truth_trees(dataset: LungDataset) -> bool:
    """Whether a data set brings its airway and vessel masks along."""
    return all((dataset.folder / "trees" / name).is_dir() for name in TREE_FOLDERS_OF_BAV.values())


def _of_each(find: Callable[[LungCase], AnatomyMasks], dataset: LungDataset) -> dict[str, AnatomyMasks]:
    """The masks of each case; all cases that have none are named together."""

    def one(name: str) -> AnatomyMasks:
        shapes = find(dataset.cases[name])
        missing = next((file for file in shapes.files if not file.is_file()), None)
        if missing is not None:
            raise InputError(
                name, f"no file {missing}", f"its {' or '.join(shapes.names)}", "add the file or leave the case out"
            )
        return shapes

    return for_all_cases(one, list(dataset.cases), 1, "Finding anatomy masks", progress_bar=False)


def _ground_truth_bav(dataset: LungDataset, case: LungCase) -> AnatomyMasks:
    files = tuple(dataset.tree_file(TREE_FOLDERS_OF_BAV[name], case.name) for name in BAV)
    return AnatomyMasks(names=BAV, files=files, mapping=None, origin=GROUND_TRUTH)


def _ground_truth_lobes(dataset: LungDataset, case: LungCase) -> AnatomyMasks:
    if case.labels is None:
        raise InputError(
            case.name,
            "a test case without segments",
            "labelsTs, of which its lobes are joined",
            "add the label map, take the case out, or give `lobes` another source",
        )
    return AnatomyMasks(names=tuple(LOBES), files=(case.labels,), mapping=lobes_of_segments(), origin=GROUND_TRUTH)


def _from_folder(
    folder: Path, mapping: LabelMapping, names: tuple[str, ...], dataset: LungDataset, case: LungCase
) -> AnatomyMasks:
    """A label map in a flat folder, or in a raw data set's labelsTr and labelsTs."""
    places = [folder, folder / "labelsTr", folder / "labelsTs"]
    files = [place / f"{case.name}{dataset.ending}" for place in places]
    file = next((file for file in files if file.is_file()), files[0])
    return AnatomyMasks(names=names, files=(file,), mapping=mapping, origin=str(file))


def _from_model(
    model: ShapeModel, options: SourceOptions, dataset: LungDataset, output: Path, prediction: PredictionOptions
) -> dict[str, AnatomyMasks]:
    mapping = options.mapping(model.folder / "dataset.json")
    model.check_folds(dataset.training)

    def origin(name: str) -> tuple[str, Path] | None:
        if dataset.cases[name].is_test:
            model.check_unseen(name)
            return None
        return model.out_of_fold(name)

    found = for_all_cases(origin, list(dataset.cases), 1, "Finding anatomy masks", progress_bar=False)
    unseen = {name: dataset.cases[name].image for name, place in found.items() if place is None}
    predicted = predict_unseen(model, unseen, output, prediction) if unseen else {}
    shapes = {}
    for name, place in found.items():
        if place is None:
            file, text = predicted[name], f"predicted by {model.name}, folds {', '.join(model.folds)}"
        else:
            file, text = place[1], f"validation of fold {place[0]} of {model.name}"
        shapes[name] = AnatomyMasks(names=options.wanted, files=(file,), mapping=mapping, origin=text, predicted=True)
    return shapes

"""From a raw data set of CTs and segments to evaluated segments: the steps of both stages, as a list.

Nothing is done here: each step names nnU-Net's commands or ours (:mod:`impulse_nnunet.jobs` runs them).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.built_inputs import RECORD
from impulse_nnunet.io.raw_folders import new_raw_folder
from impulse_nnunet.jobs.step import Step
from impulse_nnunet.lungs.anatomy import BAV, TREE_FOLDERS_OF_BAV
from impulse_nnunet.lungs.inputs import INPUTS, needs_bav, needs_lobes
from impulse_nnunet.lungs.label_mapping import mapping_from_dataset_json
from impulse_nnunet.lungs.raw_dataset import LungDataset, read_lung_dataset
from impulse_nnunet.lungs.result_steps import result_steps
from impulse_nnunet.lungs.stages import CommonOptions, StageOptions, plan_step, training_steps
from impulse_nnunet.nnunet.datasets import read_splits
from impulse_nnunet.nnunet.planning import read_raw_dataset_json
from impulse_nnunet.runtime.environment import FOLDERS

TRAIN = "train"
DEFAULT_FOLDS = 5  # nnU-Net's cross-validation
ID_OFFSETS = {"bav": 1, "i": 2, "ibav": 3, "l": 4, "lbav": 5, "lobes": 6}  # from the CT data set's ID
INPUTS_STEP = "step_inputs.json"


@dataclass(frozen=True, kw_only=True)
class PipelineOptions:
    """What to run.

    Args:
        ct: ID, name or folder of the CT data set, whose labels are the segments.
        kind: One of :data:`~impulse_nnunet.lungs.inputs.INPUTS`.
        output: Folder for predictions, scores, report and logs; by default beside the segment model.
        bav: ``train``, or a source of ``build_inputs``.
        bav_labels: Its values, as ``build_inputs`` takes them.
        bav_dataset: ID of the BAV data set; by default the CT's plus 1, made of the CT's trees if it is not there.
        bav_stage: How a BAV model is planned and trained.
        lobes: The same as ``bav``.
        lobe_labels: The same as ``bav_labels``.
        lobe_stage: How a lobe model is planned and trained.
        segment_dataset: ID of the data set of the segment stage; by default the CT's plus 2 to 5 by kind.
        segment_stage: How the segment model is planned and trained.
        folds: Folds of the segment model; all of the split by default.
        common: For all steps.
        report: Write report.html.
    """

    ct: str
    kind: str
    bav_stage: StageOptions
    lobe_stage: StageOptions
    segment_stage: StageOptions
    common: CommonOptions
    output: Path | None = None
    bav: str = TRAIN
    bav_labels: tuple[str, ...] = ()
    bav_dataset: int | None = None
    lobes: str = TRAIN
    lobe_labels: tuple[str, ...] = ()
    segment_dataset: int | None = None
    folds: tuple[str, ...] | None = None
    report: bool = True


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The steps, and where their results are.

    Args:
        steps: In order.
        output: Folder of predictions, ``summary.json``, ``metrics.csv``, ``report.html`` and ``logs``.
        segment_model: Folder of the segment stage's model.
        shape_models: Part (``bav``, ``lobes``) -> folder of a model that the pipeline trains.
    """

    steps: list[Step]
    output: Path
    segment_model: Path
    shape_models: dict[str, Path]


def plan_pipeline(options: PipelineOptions) -> Pipeline:
    """List the steps.

    Raises:
        InputError: A data set or an option is unfit; nothing was written.
    """
    dataset = read_lung_dataset(options.ct)
    _check(options)
    steps: list[Step] = []
    shape_models: dict[str, Path] = {}
    sources: dict[str, str] = {}
    for part, needed in (("bav", needs_bav(options.kind)), ("lobes", needs_lobes(options.kind))):
        given = getattr(options, part)
        if needed and given == TRAIN:
            made = _shape_steps(part, dataset, options)
            steps += made
            shape_models[part] = made[-1].record.parent
            sources[part] = str(shape_models[part])
        elif needed or (part == "bav" and given != TRAIN):
            sources[part] = given
    given = [Path(source) for part, source in sources.items() if part not in shape_models]
    inputs, folder = _inputs_step(dataset, options, sources, given, steps)
    shape_names = [model.parent.name for model in shape_models.values()]  # whose split the segment stage takes over
    planned = plan_step(folder, options.segment_stage, options.common, [inputs])
    folds = options.folds or _folds(dataset, folder.name, dataset.folder.name, *shape_names)
    trained = training_steps(folder.name, options.segment_stage, folds, options.common, planned)
    model = trained[-1].record.parent
    output = options.output or model.with_name(f"{model.name}__pipeline")
    steps += [
        inputs,
        planned,
        *trained,
        *result_steps(folder, dataset, options.segment_stage, options.common, trained, output, options.report),
    ]
    return Pipeline(steps=steps, output=output, segment_model=model, shape_models=shape_models)


def _check(options: PipelineOptions) -> None:
    for name in FOLDERS:
        if not os.environ.get(name):
            raise InputError(name, "no value", "a folder", 'run: eval "$(impulse_nnunet env)"')
    for name, given, needed in (
        ("bav", options.bav, True),
        ("lobes", options.lobes, needs_lobes(options.kind)),
    ):
        if given != TRAIN and not needed:
            raise InputError(f"`{name}`", given, f"none with `kind` {options.kind}", "leave it out")


def _id_of(dataset: LungDataset, part: str, given: int | None) -> int:
    if given is not None:
        return given
    number = dataset.folder.name[len("Dataset") :].partition("_")[0]
    if not number.isdigit():
        raise InputError(str(dataset.folder), "a folder without an ID", "DatasetXXX_Name", "rename it")
    return int(number) + ID_OFFSETS[part]


def _title(dataset: LungDataset, part: str) -> str:
    names = {"bav": "BAV", "lobes": "Lobes"}
    return f"{dataset.folder.name.partition('_')[2]}_{names.get(part, part.upper())}"


def _shape_steps(part: str, dataset: LungDataset, options: PipelineOptions) -> list[Step]:
    """Data set, plans and cross-validation of the model that draws the anatomy masks."""
    stage = options.bav_stage if part == "bav" else options.lobe_stage
    number = _id_of(dataset, part, options.bav_dataset if part == "bav" else None)
    before: list[Step] = []
    folder = _existing_bav(number) if part == "bav" else None
    if folder is None:
        folder = new_raw_folder(os.environ.get("nnUNet_raw"), number, _title(dataset, part))
        before = [_joined_labels_step(part, dataset, number, folder, options.common)]
    planned = plan_step(folder, stage, options.common, before)
    folds = _folds(dataset, folder.name, dataset.folder.name)
    return [*before, planned, *training_steps(folder.name, stage, folds, options.common, planned)]


def _existing_bav(number: int) -> Path | None:
    """A raw data set of that ID that was not built by us, checked; None if there is none."""
    found = sorted(Path(os.environ["nnUNet_raw"]).glob(f"Dataset{number:03d}_*"))
    if not found or (found[0] / RECORD).is_file() or not (found[0] / "dataset.json").is_file():
        return None
    read_raw_dataset_json(found[0])
    mapping_from_dataset_json(found[0] / "dataset.json", BAV, "`bav_dataset` ID of another data set, or `bav`")
    return found[0]


def _joined_labels_step(part: str, dataset: LungDataset, number: int, folder: Path, common: CommonOptions) -> Step:
    sources = _parts_of(dataset)
    if part == "bav":
        trees = _trees_of(dataset)
        missing = next((place for place in trees if not place.is_dir()), None)
        if missing is not None:
            raise InputError(
                str(missing),
                "no such folder",
                "masks of bronchi, arteries and veins to train the first stage on",
                "add it, name a data set by `bav_dataset`, or give `bav` another source",
            )
        sources += trees
    command = (
        "impulse_nnunet",
        "build_inputs",
        "-d",
        str(number),
        "--ct",
        str(dataset.folder),
        "--inputs",
        "i",
        "--labels",
        part,
        "--name",
        _title(dataset, part),
        "-np",
        str(common.processes),
        "--disable_progress_bar",
    )
    return Step(
        name=f"{part}_data",
        title=f"{part}: labels for the first stage",
        commands=(command,),
        record=_inputs_record(folder),
        sources=tuple(sources),
        products=(folder / "dataset.json",),
        replace_flags=("--overwrite",),
    )


def _inputs_step(
    dataset: LungDataset,
    options: PipelineOptions,
    sources: dict[str, str],
    given: Sequence[Path],
    before: Sequence[Step],
) -> tuple[Step, Path]:
    number, title = _id_of(dataset, options.kind, options.segment_dataset), _title(dataset, options.kind)
    folder = new_raw_folder(os.environ.get("nnUNet_raw"), number, title)
    command = [
        "impulse_nnunet",
        "build_inputs",
        "-d",
        str(number),
        "--ct",
        str(dataset.folder),
        "--inputs",
        options.kind,
        "--name",
        title,
        "-np",
        str(options.common.processes),
        "--disable_progress_bar",
    ]
    for part, source in sources.items():
        command += [f"--{part}", source]
    for flag, labels in (("--bav_labels", options.bav_labels), ("--lobe_labels", options.lobe_labels)):
        command += [flag, *labels] if labels else []
    command += ["-device", options.common.device] if options.common.device else []
    command += ["--disable_tta"] if options.common.disable_tta else []
    places = [*_parts_of(dataset), *_trees_of(dataset), *(place for place in given if place.is_dir())]
    step = Step(
        name="inputs",
        title=f"inputs of the segment stage ({', '.join(INPUTS[options.kind])})",
        commands=(tuple(command),),
        record=_inputs_record(folder),
        sources=tuple(places),
        products=(folder / "dataset.json",),
        after=tuple(before),
        replace_flags=("--overwrite",),
    )
    return step, folder


def _parts_of(dataset: LungDataset) -> list[Path]:
    return [dataset.folder / name for name in ("dataset.json", "imagesTr", "imagesTs", "labelsTr", "labelsTs")]


def _trees_of(dataset: LungDataset) -> list[Path]:
    return [dataset.folder / "trees" / name for name in TREE_FOLDERS_OF_BAV.values()]


def _inputs_record(folder: Path) -> Path:
    """Not in the raw folder, which has to be empty at first."""
    return Path(os.environ["nnUNet_preprocessed"], folder.name, INPUTS_STEP)


def _folds(dataset: LungDataset, *names: str) -> tuple[str, ...]:
    """Folds of the first of some data sets that has a split, else nnU-Net's five."""
    for name in names:
        splits = read_splits(name)
        if splits is not None:
            return tuple(str(fold) for fold in range(len(splits)))
    if len(dataset.training) < DEFAULT_FOLDS:
        raise InputError(
            str(dataset.folder),
            f"{len(dataset.training)} training cases",
            f"{DEFAULT_FOLDS} for nnU-Net's folds",
            "add cases, or write splits_final.json into nnUNet_preprocessed",
        )
    return tuple(str(fold) for fold in range(DEFAULT_FOLDS))

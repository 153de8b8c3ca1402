"""Build the data set of the segment stage: CT, lobes, bronchi, arteries and veins, joined into one kind of input."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dataset_json import TREES_KEY
from impulse_nnunet.io.files import link_whole
from impulse_nnunet.io.label_maps import read_label_map, write_label_map
from impulse_nnunet.lungs.anatomy import BAV, TREE_FOLDERS_OF_BAV, lobe_lists
from impulse_nnunet.lungs.checks import SEGMENT_LABELS, check_lobes, check_not_empty
from impulse_nnunet.lungs.inputs import (
    INPUTS,
    channel_entries,
    channel_file,
    needs_bav,
    needs_lobes,
    write_channels,
)
from impulse_nnunet.lungs.joined_labels import JOINED, LABELS, SEGMENTS, write_labels
from impulse_nnunet.lungs.output_dataset import OutputDataset
from impulse_nnunet.lungs.prediction import PredictionOptions
from impulse_nnunet.lungs.raw_dataset import LungCase, LungDataset, read_lung_dataset
from impulse_nnunet.lungs.sources import GROUND_TRUTH, AnatomyMasks, SourceOptions, find_masks, has_ground_truth_trees
from impulse_nnunet.nnunet.datasets import read_splits
from impulse_nnunet.preprocessing.survey import for_all_cases

NOT_TAKEN_OVER = ("channel_names", "modality", "dataset", "numTraining", "numTest")
SAMPLING = "sampling"  # folder of predicted airway and vessel masks, for inputs that lack them
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What to build.

    Args:
        kind: One of :data:`~impulse_nnunet.lungs.inputs.INPUTS`.
        ct: ID, name or folder of the CT data set, whose labels are the segments.
        bav: Source of bronchi, arteries and veins; needed where they are channels, else for sampling.
        lobes: Source of the lobes; needed where they are channels.
        labels: What the result's label maps show: ``segments``, or for the models of the first stage ``lobes`` (joined
            from the segments) or ``bav`` (joined from the masks).
        prediction: Device and speed of predictions.
        processes: Cases at a time.
        overwrite: Start over.
        progress: Show a bar.
    """

    kind: str
    ct: str
    bav: SourceOptions | None = None
    lobes: SourceOptions | None = None
    labels: str = SEGMENTS
    prediction: PredictionOptions = field(default_factory=PredictionOptions)
    processes: int = 1
    overwrite: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        if self.kind not in INPUTS:
            raise InputError("`kind`", repr(self.kind), " or ".join(INPUTS), "choose one")
        for name, needed, given in (
            ("bav", needs_bav(self.kind), self.bav),
            ("lobes", needs_lobes(self.kind), self.lobes),
        ):
            if needed and given is None:
                raise InputError(
                    f"`{name}`",
                    "nothing",
                    f"{GROUND_TRUTH}, a model's folder or a folder of label maps",
                    f"`kind` {self.kind} needs it",
                )
        if self.labels not in LABELS:
            raise InputError("`labels`", repr(self.labels), " or ".join(LABELS), "choose one")
        if self.lobes is not None and not needs_lobes(self.kind):
            raise InputError("`lobes`", self.lobes.source, f"none with `kind` {self.kind}", "leave it out")


@dataclass(frozen=True, kw_only=True)
class _CaseSources:
    """One case and where its masks come from; those under ``sampling`` are not channels."""

    case: LungCase
    bav: AnatomyMasks | None
    lobes: AnatomyMasks | None
    sampling: AnatomyMasks | None

    @property
    def files(self) -> list[Path]:
        shapes = [part for part in (self.bav, self.lobes, self.sampling) if part is not None]
        labels = [] if self.case.labels is None else [self.case.labels]
        return [self.case.image, *labels, *(file for part in shapes for file in part.files)]

    def record(self) -> dict[str, str]:
        parts = {"bav": self.bav, "lobes": self.lobes, "sampling": self.sampling}
        return {name: part.origin for name, part in parts.items() if part is not None}


def build_inputs(folder: Path, options: BuildOptions) -> list[str]:
    """Build a raw data set in ``folder``; files that an earlier call with the same settings finished are kept.

    Args:
        folder: ``.../nnUNet_raw/DatasetXXX_Name``.
        options: What to build.

    Returns:
        The case identifiers.

    Raises:
        InputError: A source as a whole is unfit.
        CasesFailedError: Naming every bad case; dataset.json is written only when there is none.
    """
    dataset = read_lung_dataset(options.ct)
    if folder.resolve() == dataset.folder.resolve():
        raise InputError("`dataset`", folder.name, "another data set than `ct`", "choose another ID")
    if options.labels == "lobes" or (options.lobes is not None and options.lobes.source == GROUND_TRUTH):
        _check_segments(dataset)
    output = OutputDataset(folder, _settings(options, dataset))
    output.claim(options.overwrite)
    sources, trees = _find_sources(dataset, options, output)
    done = for_all_cases(
        lambda name: _write_case(sources[name], dataset, options, output),
        list(sources),
        options.processes,
        "Building inputs",
        options.progress,
    )
    output.written.update(file for files in done.values() for file in files)
    output.written.update(_link_trees(dataset, output.folder))
    _write_split(dataset, options, output)
    content = {key: value for key, value in dataset.content.items() if key not in NOT_TAKEN_OVER}
    content |= {**channel_entries(options.kind), "numTraining": len(dataset.training)}
    if options.labels != SEGMENTS:
        content["labels"] = dict(JOINED[options.labels])
        content.pop("lobes", None)
    elif tuple(dataset.labels) == SEGMENT_LABELS:
        content.setdefault("lobes", lobe_lists())
    if trees:
        content[TREES_KEY] = trees
    output.finish(content, {name: sources[name].record() for name in sources})
    return list(sources)


def _settings(options: BuildOptions, dataset: LungDataset) -> dict[str, Any]:
    """What decides the content of the data set, as JSON gives it back."""
    parts: dict[str, Any] = {"inputs": options.kind, "ct": str(dataset.folder.resolve())}
    if options.labels != SEGMENTS:
        parts["labels"] = options.labels
    for name in ("bav", "lobes"):
        source: SourceOptions | None = getattr(options, name)
        if source is None:
            continue
        place = source.source if source.source == GROUND_TRUTH else str(Path(source.source).resolve())
        folds = None if source.folds is None else list(source.folds)
        parts[name] = {"source": place, "labels": list(source.labels), "folds": folds, "checkpoint": source.checkpoint}
    return parts


def _check_segments(dataset: LungDataset) -> None:
    if tuple(dataset.labels) != SEGMENT_LABELS:
        raise InputError(
            str(dataset.folder / "dataset.json"),
            f"labels {dataset.labels}",
            "0 to 18, the pulmonary segments",
            "lobes are joined of these segments; give `lobes` another source",
        )


def _find_sources(
    dataset: LungDataset, options: BuildOptions, output: OutputDataset
) -> tuple[dict[str, _CaseSources], list[str]]:
    """Where the masks of each case come from, and dataset.json's entry for those that are not channels."""
    found: dict[str, dict[str, AnatomyMasks]] = {"bav": {}, "lobes": {}, "sampling": {}}
    trees: list[str] = []
    if options.lobes is not None:
        found["lobes"] = find_masks(options.lobes, dataset, output.folder / "predicted_lobes", options.prediction)
    if needs_bav(options.kind) and options.bav is not None:
        found["bav"] = find_masks(options.bav, dataset, output.folder / "predicted_bav", options.prediction)
    elif options.bav is not None or has_ground_truth_trees(dataset):
        bav = options.bav or SourceOptions(part="bav", source=GROUND_TRUTH)
        training = replace(dataset, cases={name: dataset.cases[name] for name in dataset.training})
        found["sampling"] = find_masks(bav, training, output.folder / "predicted_bav", options.prediction)
        trees = [f"trees/{TREE_FOLDERS_OF_BAV[name]}" for name in BAV]
        if bav.source != GROUND_TRUTH:
            trees = [f"{SAMPLING}/{name}" for name in BAV]
    else:
        logger.info("no airway and vessel masks: no share of the training points will be drawn inside them")
    sources = {
        name: _CaseSources(case=case, **{part: found[part].get(name) for part in ("bav", "lobes", "sampling")})
        for name, case in dataset.cases.items()
    }
    return sources, trees


def _write_case(source: _CaseSources, dataset: LungDataset, options: BuildOptions, output: OutputDataset) -> list[Path]:
    """Write a case's channels, labels and masks for sampling, if they are not there yet; returns the files."""
    case, part, ending, kind = source.case, "Ts" if source.case.is_test else "Tr", dataset.ending, options.kind
    images = output.folder / f"images{part}"
    channels = [channel_file(images, case.name, channel, ending) for channel in range(len(INPUTS[kind]))]
    own_trees = source.sampling is not None and source.sampling.origin != GROUND_TRUTH
    trees = {name: output.folder / SAMPLING / name / f"{case.name}{ending}" for name in BAV} if own_trees else {}
    tree_files = [dataset.tree_file(TREE_FOLDERS_OF_BAV[name], case.name) for name in BAV]
    labels = [] if case.labels is None else [output.folder / f"labels{part}" / f"{case.name}{ending}"]
    made, records = [*channels, *trees.values(), *labels], output.records()
    sources = [*source.files, *(tree_files if options.labels == "bav" else [])]
    if records.is_made(case.name, sources, made):
        return made
    records.begin(case.name, sources, made)
    masks = _read_masks(source, dataset)
    write_channels(kind, case.name, case.image, masks, images, ending)
    for name, file in trees.items():
        write_label_map(masks[name], case.image, file)
    if case.labels is not None:
        write_labels(options.labels, case.labels, tree_files, case.image, labels[0])
    records.finish(case.name, made)
    return made


def _read_masks(source: _CaseSources, dataset: LungDataset) -> dict[str, np.ndarray]:
    """All masks of a case, checked."""
    case, masks = source.case, {}
    for bav in (source.bav, source.sampling):
        if bav is not None:
            found = bav.masks(case.image)
            check_not_empty(case.name, found, bav.origin == GROUND_TRUTH, bav.predicted)
            masks.update(found)
    if source.lobes is not None:
        lobes = source.lobes.masks(case.image)
        check_not_empty(case.name, lobes, strict=False, predicted=False)
        if case.labels is not None and tuple(dataset.labels) == SEGMENT_LABELS:
            truth = source.lobes.origin == GROUND_TRUTH
            segments = read_label_map(case.labels).labels
            check_lobes(case.name, segments, lobes, truth, source.lobes.predicted)
        masks.update(lobes)
    return masks


def _link_trees(dataset: LungDataset, folder: Path) -> list[Path]:
    """Bring the airway and vessel masks along, for evaluation and sampling."""
    files = []
    for place in sorted(path for path in (dataset.folder / "trees").glob("*") if path.is_dir()):
        for name in dataset.cases:
            file, target = place / f"{name}{dataset.ending}", folder / "trees" / place.name / f"{name}{dataset.ending}"
            if file.is_file():
                link_whole(file, target)
                files.append(target)
    return files


def _write_split(dataset: LungDataset, options: BuildOptions, output: OutputDataset) -> None:
    """Both stages train on the same folds, where there is a split of the same cases."""
    models = [source.model() for source in (options.bav, options.lobes) if source is not None]
    splits = [model.splits for model in models if model is not None] + [read_splits(dataset.folder.name)]
    for split in splits:
        if split is not None and _covers(split, dataset):
            output.write_split(split, options.overwrite)
            return
    if any(split is not None for split in splits):
        logger.info("the split that is there has other cases; nnU-Net will make a new one")


def _covers(splits: list[Mapping[str, list[str]]] | list[dict[str, list[str]]], dataset: LungDataset) -> bool:
    cases = {case for split in splits for part in ("train", "val") for case in split[part]}
    return cases == set(dataset.training)

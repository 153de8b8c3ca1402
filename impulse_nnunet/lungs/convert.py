"""Make a data set of the segment stage from Lung3D, which has anatomy masks and segments, and no CT."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dataset_json import TREES_KEY
from impulse_nnunet.io.files import link_whole
from impulse_nnunet.io.label_maps import FAST, write_on_grid
from impulse_nnunet.lungs.anatomy import BAV, LOBES, TREE_FOLDERS_OF_BAV, lobe_lists, segment_labels
from impulse_nnunet.lungs.inputs import (
    INPUTS,
    channel_entries,
    channel_file,
    needs_bav,
    needs_image,
    write_channels,
)
from impulse_nnunet.lungs.label_mapping import LabelMapping, mapping_from_tokens
from impulse_nnunet.lungs.lung3d import (
    ENDING,
    EXTRA,
    LOBES_NAME,
    SEGMENTS_NAME,
    Lung3DCase,
    checked_masks,
    read_lung3d,
)
from impulse_nnunet.lungs.output_dataset import OutputDataset
from impulse_nnunet.preprocessing.survey import for_all_cases

logger = logging.getLogger(__name__)
TREES = (*TREE_FOLDERS_OF_BAV.values(), LOBES_NAME, *EXTRA)
LOBE_NUMBERS = LabelMapping(
    origin="Lung3D's numbers of the lobes", values={name: (n,) for n, name in enumerate(LOBES, 1)}
)


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """How to convert.

    Args:
        kind: ``l`` or ``lbav``.
        split: The split file; lung3d.csv in the folder by default.
        spacing_mm: (d, h, w) of .npz files.
        lobe_labels: Values of the lobes as ``name=values``; 1 to 5 for RUL, RML, RLL, LUL, LLL by default.
        processes: Cases at a time.
        overwrite: Start over.
        progress: Show a bar.
    """

    kind: str = "lbav"
    split: Path | None = None
    spacing_mm: tuple[float, float, float] | None = None
    lobe_labels: tuple[str, ...] = ()
    processes: int = 1
    overwrite: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        if self.kind not in INPUTS or needs_image(self.kind):
            raise InputError("`kind`", repr(self.kind), "l or lbav: Lung3D has no CT", "choose one")
        if self.spacing_mm is not None and not all(0 < value < np.inf for value in self.spacing_mm):
            raise InputError(
                "`spacing_mm`", f"{list(self.spacing_mm)}", "three positive numbers Z Y X in mm", "correct it"
            )


def convert_lung3d(source: Path, folder: Path, options: ConvertOptions) -> dict[str, int]:
    """Write the raw data set and its split; files that an earlier call with the same settings finished are kept.

    Args:
        source: Lung3D's folder.
        folder: ``.../nnUNet_raw/DatasetXXX_Name``.
        options: How.

    Returns:
        Cases in each subset.

    Raises:
        InputError: The folder or the split file as a whole is unfit.
        CasesFailedError: Naming every bad case; dataset.json is written only when there is none.
    """
    cases = {case.name: case for case in read_lung3d(source, options.split, options.spacing_mm)}
    lobes = LOBE_NUMBERS
    if options.lobe_labels:
        lobes = mapping_from_tokens("lobe_labels", options.lobe_labels, tuple(LOBES))
    settings = {
        "inputs": options.kind,
        "lung3d": str(source.resolve()),
        "lobe_labels": str(lobes),
        "spacing_mm": None if options.spacing_mm is None else list(options.spacing_mm),
    }
    output = OutputDataset(folder, settings)
    output.claim(options.overwrite)
    done = for_all_cases(
        lambda name: _convert_case(cases[name], output, options.kind, lobes),
        list(cases),
        options.processes,
        "Converting cases",
        options.progress,
    )
    output.written.update(file for files in done.values() for file in files)
    counts = Counter(case.subset for case in cases.values())
    _write_split(list(cases.values()), output, options.overwrite)
    content = {**channel_entries(options.kind), "labels": segment_labels(), "lobes": lobe_lists()}
    content |= {"numTraining": counts["train"] + counts["val"], "file_ending": ENDING, "name": "Lung3D"}
    if not needs_bav(options.kind):
        content[TREES_KEY] = [f"trees/{TREE_FOLDERS_OF_BAV[name]}" for name in BAV]
    output.finish(content, {name: {"subset": case.subset} for name, case in cases.items()})
    return {subset: counts[subset] for subset in ("train", "val", "test")}


def _convert_case(case: Lung3DCase, output: OutputDataset, kind: str, lobes: LabelMapping) -> list[Path]:
    """Write a case's channels, segments and masks, if they are not there yet; returns the files."""
    folder = output.folder
    part = "Ts" if case.subset == "test" else "Tr"
    images, labels = folder / f"images{part}", folder / f"labels{part}" / f"{case.name}{ENDING}"
    channels = [channel_file(images, case.name, channel, ENDING) for channel in range(len(INPUTS[kind]))]
    trees = {name: _tree(folder, name, case) for name in TREES if name in case.names()}
    files = [*channels, labels, *trees.values()]
    records = output.records()
    if records.is_made(case.name, case.sources, files):
        return files
    records.begin(case.name, case.sources, files)
    maps = case.read()
    masks = checked_masks(case, maps, lobes)
    for name, file in {SEGMENTS_NAME: labels, **trees}.items():
        _store(case, name, maps, file)
    write_channels(kind, case.name, labels, masks, images, ENDING)
    records.finish(case.name, files)
    return files


def _tree(folder: Path, name: str, case: Lung3DCase) -> Path:
    return folder / "trees" / name / f"{case.name}{ENDING}"


def _store(case: Lung3DCase, name: str, maps: dict[str, np.ndarray], path: Path) -> None:
    """A file of the case under its name in the data set; an array of an .npz file as a file."""
    if case.is_npz:
        write_on_grid(maps[name], case.grid(maps[name].shape), path, FAST)
    else:
        link_whole(case.file(name), path)


def _write_split(cases: Sequence[Lung3DCase], output: OutputDataset, overwrite: bool) -> None:
    parts = {part: [case.name for case in cases if case.subset == part] for part in ("train", "val")}
    if parts["val"]:
        output.write_split([parts], overwrite)
    else:
        logger.info("the split file has no validation cases; nnU-Net will make five folds of the training cases")

"""Where a cohort's files lie: two nnU-Net raw data sets, Lung3D's folders and flat folders of trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import link_whole, whole_file, write_json
from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.io.label_maps import FAST, write_on_grid
from impulse_nnunet.io.raw_folders import new_raw_folder
from impulse_nnunet.lungs.anatomy import BAV_LABELS, lobe_lists, segment_labels
from impulse_nnunet.phantom.case import Case
from impulse_nnunet.phantom.grids import Grid

ENDING = ".nii.gz"
TREE_FOLDERS = ("airway", "artery", "vein", "interseg", "lobe", "airway_labels", "artery_labels", "vein_labels")
FIRST_TEST_NUMBER = 90001  # test cases are numbered from here, so that a cohort can grow at both ends
LICENCE = "made up by impulse_nnunet phantom, no patient data"
OWN_FOLDERS = ("imagesTr", "labelsTr", "imagesTs", "labelsTs", "lung3d", "trees", "properties")


@dataclass(frozen=True)
class Layout:
    """The folders of a cohort.

    Args:
        segments: ``.../nnUNet_raw/DatasetXXX_Name`` of the segment stage.
        bav: The same of the bronchus, artery and vein stage.
    """

    segments: Path
    bav: Path

    def record(self, number: int) -> Path:
        """Settings and properties of a case; written last, so a case with a record is whole."""
        return self.segments / "properties" / f"{case_name(number)}.json"

    def lung3d(self, number: int) -> Path:
        """The case's folder in Lung3D's layout."""
        return self.segments / "lung3d" / f"lung3d_{number:05d}"

    def image(self, number: int, folder: Path | None = None) -> Path:
        """The CT in the segment stage's data set, or in another folder laid out alike."""
        return (folder or self.segments) / f"images{part_of(number)}" / f"{case_name(number)}_0000{ENDING}"

    def labels(self, number: int, folder: Path | None = None) -> Path:
        """The label map, likewise."""
        return (folder or self.segments) / f"labels{part_of(number)}" / f"{case_name(number)}{ENDING}"

    def tree(self, name: str, number: int) -> Path:
        """A tree in a flat folder, as ``impulse_nnunet evaluate`` reads it."""
        return self.segments / "trees" / name / f"{case_name(number)}{ENDING}"

    def all_files(self, number: int) -> list[Path]:
        """Every file of a case but its record."""
        files = [self.image(number), self.labels(number), self.lung3d(number) / f"lungsegment{ENDING}"]
        files += [self.image(number, self.bav), self.labels(number, self.bav)]
        for name in TREE_FOLDERS:
            files += [self.lung3d(number) / f"{name}{ENDING}", self.tree(name, number)]
        return files


def case_name(number: int) -> str:
    """The case identifier."""
    return f"phantom_{number:05d}"


def part_of(number: int) -> str:
    """``Tr`` or ``Ts``."""
    return "Ts" if number >= FIRST_TEST_NUMBER else "Tr"


def find_layout(raw: str | None, dataset: int, bav_id: int, name: str, bav_name: str) -> Layout:
    """The folders of a cohort; refuses an ID that another data set has."""
    if dataset == bav_id:
        raise InputError("`bav_id`", str(bav_id), f"another ID than `dataset` {dataset}", "choose another ID")
    return Layout(new_raw_folder(raw, dataset, name), new_raw_folder(raw, bav_id, bav_name, "bav_id"))


def write_case(case: Case, number: int, layout: Layout) -> None:
    """Write all files of a case but its record; each appears only when it is whole."""
    lung3d = layout.lung3d(number)
    write_image(case.image, case.grid, layout.image(number))
    write_image(case.labels["segments"], case.grid, layout.labels(number))
    link_whole(layout.image(number), layout.image(number, layout.bav))
    link_whole(layout.labels(number), lung3d / f"lungsegment{ENDING}")
    write_image(bav_labels(case.labels), case.grid, layout.labels(number, layout.bav))
    for name in TREE_FOLDERS:
        file = lung3d / f"{name}{ENDING}"
        write_image(case.labels["lobes" if name == "lobe" else name], case.grid, file)
        link_whole(file, layout.tree(name, number))


def bav_labels(labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """Bronchus 1, artery 2, vein 3; where they meet, the first of them."""
    out = 3 * labels["vein"]
    out[labels["artery"] > 0] = 2
    out[labels["airway"] > 0] = 1
    return out


def write_image(array: np.ndarray, grid: Grid, path: Path) -> None:
    """Write a (d, h, w) array, head to foot, front to back, right to left, of a patient on the back; axes along LPS."""
    last_slice = grid.first_mm[0] + (grid.size[0] - 1) * grid.spacing_mm[0]
    d, h, w = array.shape
    in_file = FileGrid(
        size=(w, h, d),
        spacing_mm=np.asarray(grid.spacing_mm[::-1], np.float64),
        origin=np.asarray([grid.first_mm[2], grid.first_mm[1], -last_slice], np.float64),
        direction=np.eye(3),
    )
    write_on_grid(array[::-1], in_file, path, FAST)  # ITK's third axis runs from foot to head


def read_array(path: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """The (d, h, w) array of a file that :func:`write_image` wrote, head to foot, and its spacing (d, h, w), mm."""
    image = sitk.ReadImage(str(path))
    x, y, z = image.GetSpacing()
    return np.ascontiguousarray(sitk.GetArrayFromImage(image)[::-1]), (z, y, x)


def write_descriptions(layout: Layout) -> None:
    """Write both ``dataset.json`` and ``lung3d.csv`` for the cases that are whole."""
    names = sorted(path.stem for path in (layout.segments / "properties").glob("phantom_*.json"))
    numbers = [int(name.split("_")[1]) for name in names]
    training = [number for number in numbers if part_of(number) == "Tr"]
    common = {"channel_names": {"0": "CT"}, "numTraining": len(training), "file_ending": ENDING, "licence": LICENCE}
    segments = {"labels": segment_labels(), "lobes": lobe_lists()}
    write_json({**common, **segments}, layout.segments / "dataset.json")
    write_json({**common, "labels": BAV_LABELS}, layout.bav / "dataset.json")
    rows = [f"lung3d_{number:05d},{subset}" for number, subset in zip(numbers, _subsets(numbers), strict=True)]
    with whole_file(layout.segments / "lung3d" / "lung3d.csv") as path:
        path.write_text("\n".join(["pid,subset", *rows]) + "\n", encoding="utf-8")


def _subsets(numbers: Sequence[int]) -> list[str]:
    """Lung3D's shares: of the training cases one in eight, from the end, is for validation."""
    training = sum(part_of(number) == "Tr" for number in numbers)
    first_validation = training - training // 8
    subsets = ["train" if n < first_validation else "val" for n in range(training)]
    return subsets + ["test"] * (len(numbers) - training)

"""The formats of ``export``: a name, the files that it writes, and how. A further format is one more entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from impulse_nnunet.outputs.cases import Segments
from impulse_nnunet.outputs.colours import LabelStyle, tree_colour
from impulse_nnunet.outputs.glb import write_glb
from impulse_nnunet.outputs.obj import write_obj
from impulse_nnunet.outputs.scene import LPS, Part, Scene, scene_of
from impulse_nnunet.outputs.seg_nrrd import Layer, write_seg_nrrd
from impulse_nnunet.outputs.stl import write_stl
from impulse_nnunet.outputs.surfaces import default_smooth_mm, label_surfaces
from impulse_nnunet.outputs.three_mf import write_three_mf
from impulse_nnunet.outputs.vtp import write_vtp


@dataclass(frozen=True, kw_only=True)
class Content:
    """What the files of a case show; surfaces are made when the first format asks for them.

    Args:
        case: Identifier.
        segments: The label map.
        smooth_mm: Of the surfaces; None is half the diagonal of a voxel.
        space: ``LPS`` or ``RAS``, of the surfaces' points.
        trees: Tree -> its voxels (d, h, w) bool, on the label map's grid; they become further surfaces and layers.
        dicom: Folder of the series that the segments belong to, for the formats that need it.
    """

    case: str
    segments: Segments
    smooth_mm: float | None = None
    space: str = LPS
    trees: Mapping[str, np.ndarray] = field(default_factory=dict)
    dicom: Path | None = None

    @property
    def style(self) -> LabelStyle:
        """Names and colours."""
        return self.segments.names.style(self.segments.labels)

    @property
    def file_names(self) -> dict[int, str]:
        """Label -> name of its file, without the ending."""
        return self.segments.names.file_names(self.segments.labels)

    @cached_property
    def scene(self) -> Scene:
        """The surfaces of the labels, then of the trees, whose numbers follow the largest label."""
        label_map, style = self.segments.label_map, self.style
        surfaces = label_surfaces(
            label_map.labels, label_map.grid, wanted=self.segments.labels, smooth_mm=self._smooth_mm
        )
        labels = scene_of(self.case, surfaces, style.names, self.file_names, style.colours)
        return Scene(self.case, (*labels.parts, *self._trees(max(style.names))), LPS).in_space(self.space)

    @property
    def _smooth_mm(self) -> float:
        return default_smooth_mm(self.segments.label_map.spacing_mm) if self.smooth_mm is None else self.smooth_mm

    def _trees(self, last: int) -> Iterator[Part]:
        taken = {name.casefold() for name in self.file_names.values()}
        for number, (name, mask) in enumerate(self.trees.items(), last + 1):
            found = label_surfaces(mask.view(np.uint8), self.segments.label_map.grid, smooth_mm=self._smooth_mm)
            if found:
                surface = replace(found[1], label=number)
                file_name = f"{name}_tree" if name.casefold() in taken else name
                yield Part(name=name, file_name=file_name, colour=tree_colour(name), surface=surface)


Writer = Callable[[Content, Path], list[Path]]
"""Writes the files of a case into a folder, and returns them."""


def _stl(content: Content, folder: Path) -> list[Path]:
    files = []
    for part in content.scene.parts:
        files.append(folder / content.case / f"{part.file_name}.stl")
        write_stl(part, content.scene.space, files[-1])
    return files


def _obj(content: Content, folder: Path) -> list[Path]:
    path = folder / f"{content.case}.obj"
    return [path, write_obj(content.scene, path)]


def _of_scene(write: Callable[[Scene, Path], None], ending: str) -> Writer:
    def to_folder(content: Content, folder: Path) -> list[Path]:
        path = folder / f"{content.case}{ending}"
        write(content.scene, path)
        return [path]

    return to_folder


def _seg_nrrd(content: Content, folder: Path) -> list[Path]:
    path = folder / f"{content.case}.seg.nrrd"
    label_map = content.segments.label_map
    layers = [Layer(name, mask, tree_colour(name)) for name, mask in content.trees.items()]
    write_seg_nrrd(label_map.labels, label_map.grid, content.style, content.segments.labels, path, layers)
    return [path]


FORMATS: Mapping[str, Writer] = {
    "stl": _stl,
    "obj": _obj,
    "glb": _of_scene(write_glb, ".glb"),
    "3mf": _of_scene(write_three_mf, ".3mf"),
    "vtp": _of_scene(write_vtp, ".vtp"),
    "seg.nrrd": _seg_nrrd,
}

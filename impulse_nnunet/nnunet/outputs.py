"""What is made of an encoded case: labels on its own or another grid, probabilities, displacements, and their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from impulse_nnunet.decoding import EncodedBox, decode_labels, displacement_slabs
from impulse_nnunet.errors import InputError
from impulse_nnunet.inference.world import image_to_world, output_grid
from impulse_nnunet.io.grid import FileGrid, read_file_grid
from impulse_nnunet.io.label_maps import write_on_grid
from impulse_nnunet.io.nnunet import ASSUMED
from impulse_nnunet.io.upright import own_grid
from impulse_nnunet.io.vector_image import VectorImage
from impulse_nnunet.nnunet.cases import PreparedCase, decode_case, write_case
from impulse_nnunet.nnunet.judging import LabelledCase, spacing_of
from impulse_nnunet.nnunet.meshes import decode_fine, write_meshes
from impulse_nnunet.nnunet.output_options import DISPLACEMENT_FOLDER, OutputOptions


@dataclass(frozen=True)
class DecodedCase:
    """What was decoded of a case, and what is left to do.

    Args:
        labelled: For the judgement of its labels.
        writes: Each writes some of its files.
    """

    labelled: LabelledCase
    writes: list[Callable[[], None]]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The files of the cases of one prediction.

    Args:
        folder: Of the labels.
        ending: Of the files.
        plans_manager: nnU-Net's.
        dataset_json: Content of the model's dataset.json.
        options: What to write.
    """

    folder: Path
    ending: str
    plans_manager: PlansManager
    dataset_json: Mapping[str, Any]
    options: OutputOptions

    def files(self, case: str) -> list[Path]:
        """The files that a case has when it is done, besides nnU-Net's ``.pkl``."""
        return self.options.files(self.folder, case, self.ending)

    def decode(self, encoded: EncodedBox, block: int, prepared: PreparedCase) -> DecodedCase:
        """Decode a case."""
        decoded = (self._on_own_grid if self.options.own_grid else self._on_other_grid)(encoded, block, prepared)
        if self.options.displacement:
            decoded.writes.append(self._displacement(encoded, block, prepared))
        if self.options.meshes:
            decoded.writes.append(self._meshes(encoded, block, prepared))
        return decoded

    def _meshes(self, encoded: EncodedBox, block: int, prepared: PreparedCase) -> Callable[[], None]:
        _check_position(prepared)
        image, to_world = read_file_grid(prepared.files[0]), self._to_world(prepared.properties)
        fine = decode_fine(encoded, image, to_world, self.options.mesh_spacing_mm, block, prepared.case)
        return partial(write_meshes, fine, self.dataset_json, prepared.case, self.options.meshes, self.folder)

    def _on_own_grid(self, encoded: EncodedBox, block: int, prepared: PreparedCase) -> DecodedCase:
        properties, target = prepared.properties, str(self.folder / prepared.case)
        own = own_grid(properties)
        prediction = decode_case(encoded, block, properties, self.plans_manager, self.options.probabilities)
        labelled = LabelledCase(
            case=prepared.case,
            labels=prediction.labels,
            spacing_mm=spacing_of((properties if own is None else own[1])["spacing"]),
            image=prepared.image,
            properties=properties,
        )
        return DecodedCase(
            labelled, [lambda: write_case(prediction, properties, self.plans_manager, self.ending, target)]
        )

    def _on_other_grid(self, encoded: EncodedBox, block: int, prepared: PreparedCase) -> DecodedCase:
        grid, path = self._other_grid(prepared), self.folder / f"{prepared.case}{self.ending}"
        like = Path(self.options.like or prepared.files[0])
        labels = decode_labels(encoded, output_grid(grid, self._to_world(prepared.properties)), block)
        labelled = LabelledCase(
            case=prepared.case,
            labels=labels,
            spacing_mm=spacing_of(grid.spacing_mm[::-1]),
            image=prepared.image,
            properties=prepared.properties,
            to_world=grid.to_world,
        )
        return DecodedCase(labelled, [lambda: write_on_grid(labels, grid, path, like=like)])

    def _displacement(self, encoded: EncodedBox, block: int, prepared: PreparedCase) -> Callable[[], None]:
        """The field D in mm on the labels' grid, decoded now slab by slab; returns its writing."""
        own = self.options.own_grid
        grid = read_file_grid(prepared.files[0]) if own else self._other_grid(prepared)
        to_world = self._to_world(prepared.properties)
        turn, like = to_world[:3, :3].T.astype(np.float32), Path(self.options.like or prepared.files[0])
        path = self.folder / DISPLACEMENT_FOLDER / f"{prepared.case}{self.ending}"
        with VectorImage(grid, path, like) as field:
            for first, vectors in displacement_slabs(encoded, output_grid(grid, to_world), block):
                field.put(first, vectors @ turn)
        return field.write

    def _to_world(self, properties: dict[str, Any]) -> np.ndarray:
        return image_to_world(properties, self.plans_manager.transpose_forward)

    def _other_grid(self, prepared: PreparedCase) -> FileGrid:
        _check_position(prepared)
        if self.options.like is not None:
            return read_file_grid(self.options.like)
        return read_file_grid(prepared.files[0]).with_spacing((self.options.spacing_mm or (1, 1, 1))[::-1])


def _check_position(prepared: PreparedCase) -> None:
    if prepared.properties.get(ASSUMED):
        expected = "one with a position for `spacing_mm`, `like` and `meshes`"
        raise InputError(prepared.case, "an image whose orientation is assumed", expected, "predict it on its own grid")

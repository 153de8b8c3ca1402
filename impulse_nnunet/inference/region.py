"""Regions of interest that hold all of the labels, whatever the first pass said of them.

The first pass may be wrong: a weak localizer, an unusual patient. After a box is encoded, the network itself is asked
for the labels on the box's faces. Foreground on a face that is not a face of the image goes on outside, so the box is
enlarged there and encoded again. A label that is found nowhere in the box is looked for in the whole image. At most two
further encodings come of it; a check takes six planes, or a grid of half the input grid's resolution.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from impulse_nnunet.decoding import EncodedBox, OutputGrid, decode_labels
from impulse_nnunet.geometry.boxes import Box, moved_out
from impulse_nnunet.inference.ensemble import Ensemble
from impulse_nnunet.runtime.findings import Finding
from impulse_nnunet.settings import ImPulSeSettings

STEP = 0.5  # of the box's edge that a face moves out
FINER = 2  # points on a face for each voxel of the working volume, along each axis
ON_FACE = 1 - 1e-5  # box position: within the box when rounded to float32
AT_FACE = 1e-6  # image positions that are as good as on the image's face
COARSE_FROM = 64  # voxels of the input grid from which on every second is enough to see what is there
ENLARGED = "region_enlarged"

logger = logging.getLogger(__name__)


def coarse_grid(input_grid: Sequence[int]) -> OutputGrid:
    """The grid on which a box is looked through: every second voxel of large input grids."""
    return OutputGrid.native([n // 2 if n >= COARSE_FROM else n for n in input_grid])


@dataclass(frozen=True, kw_only=True)
class RegionEncoder:
    """Encodes a case's region of interest, enlarged where it would cut labels.

    Args:
        ensemble: The networks.
        volume: Working volume (channel, d, h, w), on their device.
        settings: Of the plans.
        case: Identifier, for the log.
    """

    ensemble: Ensemble
    volume: Tensor
    settings: ImPulSeSettings
    case: str

    def encode(self, box: Box) -> EncodedBox:
        """Encode an upright box, or a larger one."""
        encoded = self._encode(box)
        if _is_whole(box):
            return encoded
        touched = self.touched_faces(encoded)
        if touched.any():
            del encoded  # two at once need not fit
            encoded = self._encode(moved_out(box, touched, STEP))
            if self.touched_faces(encoded).any() or self._missing(encoded):
                del encoded
                encoded = self._encode(Box.whole())
            return self._noted(encoded, box, f"labels reached {touched.sum()} face(s) of the region of interest")
        missing = self._missing(encoded)
        if not missing:
            return encoded
        del encoded
        encoded = self._encode(Box.whole())
        found = sorted(missing - self._missing(encoded))
        if found:
            names = ", ".join(str(label) for label in found)
            return self._noted(encoded, box, f"label(s) {names} lay outside the region of interest")
        del encoded
        return self._encode(box)

    def touched_faces(self, encoded: EncodedBox) -> np.ndarray:
        """(3, 2) bool: on which lower and upper faces, inside the image, of an upright box there is foreground."""
        faces = encoded.box.faces
        touched = np.zeros((3, 2), bool)
        for axis in range(3):
            for side in range(2):
                if abs(faces[side][axis]) < 1 - AT_FACE:
                    grid = _face_grid(encoded.box, axis, side, self.volume.shape[1:])
                    touched[axis, side] = decode_labels(encoded, grid, self.settings.inference.block_points).any()
        return touched

    def _encode(self, box: Box) -> EncodedBox:
        return self.ensemble.encode(self.volume, box, self.settings.grid.input_grid, self.case)

    def _missing(self, encoded: EncodedBox) -> set[int]:
        """Labels that are nowhere in a box."""
        grid = coarse_grid(self.settings.grid.input_grid)
        inside = OutputGrid(grid.shape, _in_box(encoded.box, grid.to_image))
        labels = decode_labels(encoded, inside, self.settings.inference.block_points)
        return {*range(1, encoded.number_of_classes)} - {int(label) for label in np.unique(labels)}

    def _noted(self, encoded: EncodedBox, first: Box, reason: str) -> EncodedBox:
        text = f"{reason}, which was enlarged from {_share(first):.0%} to {_share(encoded.box):.0%} of the image"
        encoded.findings = (Finding(ENLARGED, text),)
        logger.warning("%s: %s", self.case, text)
        return encoded


def _face_grid(box: Box, axis: int, side: int, working_shape: Sequence[int]) -> OutputGrid:
    """The points of one face of an upright box: cell centres, finer than the working volume."""
    half = np.diag(box.matrix)
    counts = np.maximum(1, np.ceil(FINER * half * np.asarray(working_shape))).astype(int)
    counts[axis] = 1
    grid = OutputGrid.native(counts)
    to_box = grid.to_image.copy()
    to_box[axis, 3] = (-ON_FACE, ON_FACE)[side]
    return OutputGrid(grid.shape, _in_box(box, to_box))


def _in_box(box: Box, to_box: np.ndarray) -> np.ndarray:
    """Image positions of indices whose box positions are ``to_box`` @ (index, 1)."""
    to_image = box.matrix @ to_box
    to_image[:, 3] += box.centre
    return to_image


def _is_whole(box: Box) -> bool:
    lower, upper = box.faces
    return bool(np.all(lower <= AT_FACE - 1) and np.all(upper >= 1 - AT_FACE))


def _share(box: Box) -> float:
    """Of the image's volume."""
    return float(np.prod(np.diag(box.matrix)))

"""How an image differs from its own mirror image, in a few numbers; a mirrored image has the same with other signs.

The image is averaged in coarse cells along the patient's axes, about the plane to whose sides it is most alike; what
is left of it after its mirror image is subtracted is scaled to length 1. Its product with the training cases' mean (the
agreement, -1 to 1, a cosine) is positive for an image whose heart, liver and stomach lie where theirs do, and the
negative of it for its mirror image.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from impulse_nnunet.geometry.patient_axes import turned_along_patient

CELLS = (8, 8, 12)  # head to foot, front to back, right to left
NUMBERS = CELLS[0] * CELLS[1] * CELLS[2] // 2  # of one side; the other side's are the same with other signs
PERCENTILES = (1.0, 99.0)  # values beyond them (metal, air around the table) are taken as these
STRIDE = 3  # of the voxels that the percentiles are taken from
STEPS = 127  # of a stored number
FEWEST_CASES = 5  # from so many on, training cases are compared


def asymmetry(image: np.ndarray, to_world: np.ndarray) -> np.ndarray | None:
    """The asymmetry of an image about the middle of what it shows.

    Args:
        image: (d, h, w), any unit.
        to_world: 4 x 4, (d, h, w) indices to LPS.

    Returns:
        (:data:`NUMBERS`,) float32 of length 1; None for an image that is its own mirror image.
    """
    return asymmetry_of(patient_cells(image, to_world))


def asymmetry_of(cells: np.ndarray) -> np.ndarray | None:
    """The asymmetry of an image by its cells (:func:`patient_cells`)."""
    difference = (cells - cells[..., ::-1])[..., : CELLS[2] // 2].ravel()
    length = float(np.linalg.norm(difference))
    return difference / length if length > 1e-6 * max(1.0, float(np.abs(cells).max())) else None


def patient_cells(image: np.ndarray, to_world: np.ndarray) -> np.ndarray:
    """Means of an image (d, h, w) in :data:`CELLS` along z, y, x of LPS, about the middle of what it shows."""
    values = np.asarray(image, np.float32)
    low, high = np.percentile(values[::STRIDE, ::STRIDE, ::STRIDE], PERCENTILES)
    patient = turned_along_patient(values, to_world)
    columns = np.concatenate([_columns(part, low, high) for part in _parts_of(patient)])
    return means_of_cells(columns[..., about_the_middle(columns)], CELLS)


def mean_asymmetry(cases: Sequence[np.ndarray]) -> np.ndarray | None:
    """Mean of several cases, scaled to length 1; None if they cancel out."""
    total = np.sum(cases, axis=0)
    length = float(np.linalg.norm(total))
    return total / length if length > 0 else None


def encode(numbers: np.ndarray) -> str:
    """The numbers as a line of text, to 1/127 of the largest."""
    return base64.b64encode(np.rint(numbers / np.abs(numbers).max() * STEPS).astype(np.int8).tobytes()).decode("ascii")


def decode(text: str) -> np.ndarray:
    """From a line of text, scaled to length 1.

    Raises:
        ValueError: It is none.
    """
    numbers = np.frombuffer(base64.b64decode(text, validate=True), np.int8).astype(np.float32)
    length = float(np.linalg.norm(numbers))
    if len(numbers) != NUMBERS or length == 0:
        raise ValueError(f"{len(numbers)} numbers, expected {NUMBERS}, not all of them 0")
    return numbers / length


def about_the_middle(columns: np.ndarray) -> slice:
    """The widest part (along the last axis) about the plane to whose sides the image is most alike.

    A patient who lies off centre is not asymmetric. The plane is looked for in the middle quarter, by half a voxel.
    """
    width = columns.shape[-1]
    best, least = slice(0, width), np.inf
    for doubled in range(round(0.75 * width), round(1.25 * width) + 1):  # twice the plane's place
        part = slice(max(0, doubled - width), min(width, doubled))
        view = columns[..., part]
        unlike = float(np.mean((view - view[..., ::-1]) ** 2)) / max(float(view.var()), 1e-9)
        if unlike < least:
            best, least = part, unlike
    return best


def _parts_of(patient: np.ndarray) -> list[np.ndarray]:
    """The parts of an image, from head to foot, that the cells are means of: one after the other takes less memory."""
    depth, number = len(patient), CELLS[0]
    return [patient[cell * depth // number : -(-(cell + 1) * depth // number)] for cell in range(number)]


def _columns(part: np.ndarray, low: float, high: float) -> np.ndarray:
    """Means (1, cell, w) of a part, in 64-bit floats."""
    return means_of_cells(np.clip(part, low, high), (1, CELLS[1], part.shape[2]))


def means_of_cells(image: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Means of an image's cells."""
    voxels = torch.from_numpy(np.ascontiguousarray(image))[None]
    result: np.ndarray = functional.adaptive_avg_pool3d(voxels, shape)[0].numpy()
    return result

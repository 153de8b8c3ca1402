"""NIfTI files as nnU-Net's reorienting reader gives them, without its way through 64-bit floats, and written back."""

from __future__ import annotations

from typing import Any

import nibabel
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

from impulse_nnunet.errors import InputError

EXACT_KINDS = "iuf"  # 8 to 32 bits: rounded to float32 once, as the way through float64 rounds them
REAL_KINDS = "buif"


def check_numbers(file: str) -> None:
    """Refuse complex numbers, whose imaginary part the readers drop, and colours.

    Raises:
        InputError: The voxels are no real numbers.
    """
    dtype = nibabel.load(file).get_data_dtype()  # type: ignore[attr-defined]
    if dtype.kind not in REAL_KINDS:
        name = "colours" if dtype.fields else f"numbers of type {dtype}"
        raise InputError(file, name, "an image of real numbers", "write the part that is meant")


def read_plain_nifti(file: str) -> tuple[np.ndarray, dict[str, Any]] | None:
    """Read an image whose numbers are stored as they are, turned to RAS.

    The voxels and properties are those of ``NibabelIOWithReorient.read_images((file,))``.

    Args:
        file: NIfTI file.

    Returns:
        (1, d, h, w) float32 and nnU-Net's properties; None where the file is another's to read: scaled or complex
        numbers, 64 bits, another number of axes.
    """
    image = nibabel.load(file)
    if not isinstance(image, nibabel.Nifti1Image) or image.ndim != 3:
        return None
    stored = image.dataobj
    if not isinstance(stored, ArrayProxy) or (stored.slope, stored.inter) != (1, 0):
        return None
    if stored.dtype.kind not in EXACT_KINDS or stored.dtype.itemsize > 4:
        return None
    turned = image.as_reoriented(io_orientation(image.affine))
    voxels = np.asanyarray(turned.dataobj).transpose(2, 1, 0)
    properties = {
        "nibabel_stuff": {"original_affine": image.affine, "reoriented_affine": turned.affine},
        "spacing": [float(edge) for edge in turned.header.get_zooms()[::-1]],
    }
    return np.ascontiguousarray(voxels, np.float32)[None], properties


def as_stored(array: np.ndarray, original_affine: np.ndarray) -> np.ndarray:
    """Turn (d, h, w) of the reorienting reader back to the file's own (x, y, z)."""
    to_stored = ornt_transform(axcodes2ornt("RAS"), io_orientation(original_affine))
    return np.asarray(apply_orientation(array.transpose(2, 1, 0), to_stored))

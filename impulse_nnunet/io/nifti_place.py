"""Where a NIfTI file says its image lies: qform, sform, pixdim and units judged together (docs/files.md).

Every NIfTI header that this package reads is judged here, so no command takes what another one refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.affines import largest_offset_mm, nearest_rotation
from impulse_nnunet.io.assumption import may_assume_orientation
from impulse_nnunet.io.formats import READING_ERRORS

ASSUMED_NOTE = b"orientation assumed: both form codes 0"
AGREEMENT = 1e-3  # relative, of spacings; ITK's and nibabel's rounding stay far below
SAME_DIRECTION = 1e-2  # of the axes of a qform and of an sform that lost its scale
OFFSET_SHARE = 0.5  # of the smallest voxel, as in the rule of io/same_grid.py
UNITS_MM = {1: 1000.0, 3: 0.001}  # metre and micrometre, as ITK applies them; everything else is mm
FIELDS = (
    "xyzt_units",
    "qform_code",
    "sform_code",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "qoffset_y",
    "qoffset_z",
    "srow_x",
    "srow_y",
    "srow_z",
)
REMEDY = "write the header again with what is right"

Geometry = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class NiftiPlace:
    """What a header says, judged.

    Args:
        affine: (4, 4), indices (x, y, z, 1) to RAS, mm.
        mm_per_unit: Factor from the file's own unit of length.
        assumed: Both form codes are 0 and the user lets the orientation be assumed.
        geometry: The header's fields as they are, for files on the same grid.
    """

    affine: np.ndarray
    mm_per_unit: float
    assumed: bool
    geometry: Geometry


def place_of(image: nibabel.Nifti1Image, path: str | Path) -> NiftiPlace:
    """Judge the header of an image of three dimensions.

    Raises:
        InputError: No place, or more than one.
    """
    header = image.header
    zooms = np.asarray(header.get_zooms()[:3], np.float64)
    stored = _stored_spacing(image, zooms)
    used = stored if int(header["sform_code"]) == 0 else np.abs(stored)  # an sform says itself how axes run
    if not (np.all(np.isfinite(used)) and np.all(used > 0) and np.all(np.isfinite(zooms)) and np.all(zooms > 0)):
        raise InputError(str(path), f"spacing {_text(stored[::-1])} mm", "three positive numbers", "correct the header")
    affine, assumed = _affine(header, zooms, path)
    if not np.all(np.isfinite(affine)) or not np.all(np.linalg.norm(affine[:3, :3], axis=0)):
        found = "an affine with zero, NaN or infinite axes"
        raise InputError(str(path), found, "the image's place", "correct the header")
    factor = UNITS_MM.get(int(header["xyzt_units"]) & 7, 1.0)
    return NiftiPlace(
        affine=np.diag([factor, factor, factor, 1.0]) @ affine,
        mm_per_unit=factor,
        assumed=assumed,
        geometry=_geometry(header),
    )


def read_place(path: str | Path) -> NiftiPlace:
    """Judge the header of a file; raises as :func:`place_of` and as nibabel does."""
    return place_of(nibabel.load(path), path)  # type: ignore[arg-type]


def image_on_geometry(array: np.ndarray, geometry: Mapping[str, Any]) -> nibabel.Nifti1Image:
    """An image (x, y, z) in whose header every field of the place is that of another file, codes and units included."""
    header = nibabel.Nifti1Header()
    header["pixdim"][:4] = geometry["pixdim"]
    for name in FIELDS:
        header[name] = geometry[name]
    if not (geometry["qform_code"] or geometry["sform_code"]):
        header["descrip"] = ASSUMED_NOTE
    header.set_data_dtype(array.dtype)
    return nibabel.Nifti1Image(array, None, header)


def _stored_spacing(image: nibabel.Nifti1Image, zooms: np.ndarray) -> np.ndarray:
    """The spacing (x, y, z) as the file has it: nibabel sets 0 to 1 and drops signs, ITK otherwise."""
    holder = image.file_map.get("header") or image.file_map["image"]
    if holder.filename is None:
        return zooms
    with holder.get_prepare_fileobj("rb") as file:
        header = type(image.header).from_fileobj(file, check=False)
    return np.asarray(header["pixdim"][1:4], np.float64)


def _affine(header: nibabel.Nifti1Header, zooms: np.ndarray, path: str | Path) -> tuple[np.ndarray, bool]:
    codes = int(header["qform_code"]), int(header["sform_code"])
    if codes == (0, 0):
        return _without_form(header, path), True
    try:
        qform = header.get_qform(coded=True)[0]
    except READING_ERRORS as error:
        raise InputError(str(path), "a qform that is not a rotation", "one", REMEDY) from error
    if not codes[1]:
        return np.asarray(qform), False
    sform = header.get_sform().astype(np.float64)
    edges = np.linalg.norm(sform[:3, :3], axis=0)
    if not np.all(np.isfinite(sform)) or not np.all(edges):
        return sform, False
    if qform is not None and _lost_scale(sform, qform, zooms):
        return np.asarray(qform), False
    if not np.allclose(edges, zooms, rtol=AGREEMENT):
        found = f"an sform with a spacing of {_text(edges)} mm beside {_text(zooms)} mm in pixdim"
        raise InputError(str(path), found, "the same in both", REMEDY)
    if qform is not None:
        _check_agreement(header.get_data_shape(), qform, sform, zooms, path)
    return sform, False


def _without_form(header: nibabel.Nifti1Header, path: str | Path) -> np.ndarray:
    """Nibabel's assumption, which is that of Analyze: x runs to the left, y to the front, z up (LAS)."""
    if not may_assume_orientation():
        found = "qform_code 0 and sform_code 0, so no orientation"
        raise InputError(
            str(path), found, "one of the two forms", "correct the header, or add `assume_orientation` (LAS)"
        )
    return np.asarray(header.get_base_affine())


def _lost_scale(sform: np.ndarray, qform: np.ndarray, zooms: np.ndarray) -> bool:
    """Whether an sform is the qform with columns of length 1, which some conversions write."""
    edges = np.linalg.norm(sform[:3, :3], axis=0)
    if not np.allclose(edges, 1, rtol=AGREEMENT) or np.allclose(zooms, 1, rtol=AGREEMENT):
        return False
    return bool(np.allclose(sform[:3, :3], qform[:3, :3] / zooms, atol=SAME_DIRECTION))


def _check_agreement(
    size: tuple[int, ...], qform: np.ndarray, sform: np.ndarray, zooms: np.ndarray, path: str | Path
) -> None:
    """A qform cannot hold shear, so it may be the sform, or the sform without its shear."""
    upright = sform.copy()
    upright[:3, :3] = nearest_rotation(sform[:3, :3] / zooms) * zooms
    offset = min(largest_offset_mm(qform, form, size[:3]) for form in (sform, upright))
    if offset > OFFSET_SHARE * float(zooms.min()):
        found = f"a qform and an sform whose voxels lie up to {offset:.4g} mm apart"
        raise InputError(str(path), found, "one place", "set the form that is wrong to that of the other")


def _geometry(header: nibabel.Nifti1Header) -> Geometry:
    fields = {name: np.asarray(header[name]).tolist() for name in FIELDS}
    return fields | {"pixdim": np.asarray(header["pixdim"])[:4].tolist()}


def _text(values: np.ndarray) -> str:
    return "(" + ", ".join(f"{float(v):.4g}" for v in values) + ")"

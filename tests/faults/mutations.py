"""Image files as they come from outside: strategies for hypothesis, and a writer.

A :class:`Recipe` says all of a file in a few words, so that a failure can be read and made again.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
from hypothesis import strategies as st

TYPES = ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "complex64")
CONTENTS = ("ct", "ct", "ct", "noise", "constant", "zero", "one voxel", "nan", "inf", "huge", "nan everywhere")
SCALINGS = ((2.0, -1024.0), (-1.0, 0.0), (0.0, 0.0), (1e-3, 5.0), (1e30, 0.0), (np.nan, 0.0), (1.0, np.inf))
LABELS = ("labels", "labels", "labels", "out of range", "fractions", "negative", "empty", "one label", "nan", "huge")
ORIENTATIONS = ("RAS", "LPS", "LAS", "RPI", "PIR", "SAL", "AIL")
FILES = (
    "whole",
    "whole",
    "whole",
    "whole",
    "whole",
    "cut",
    "cut in the header",
    "empty",
    "text",
    "plain under .gz",
    "bytes changed",
    "header changed",
    "trailing garbage",
    "folder",
    "symlink",
    "broken symlink",
    "symlink loop",
)
NAMES = (
    "case",
    "case",
    "case",
    "case",
    "an image",
    "Thorax ü",
    "胸部",
    "a.b.c",
    "-case",
    "case_0000",
    "'quoted'",
    "x" * 150,
)
ENDINGS = ("_0000.nii.gz",) * 8 + (
    *("_0001.nii.gz", "_0000.nii", ".nii.gz", "_0000.NII.GZ", "_0000.NII.gz", "_0000.mha", "_0000.nrrd", "_00.nii.gz"),
)


@dataclass(frozen=True)
class Recipe:
    """One file.

    Args:
        name: Case identifier.
        ending: Channel and ending.
        shape: Along the file's axes; two to five of them.
        dtype: Of the stored voxels.
        big_endian: Byte order.
        scaling: ``scl_slope`` and ``scl_inter``, or None.
        content: Of :data:`CONTENTS` or :data:`LABELS`.
        spacing: mm along the file's axes.
        orientation: Axis codes.
        angles: Degrees of an oblique rotation about each axis.
        shear: Added to the affine's first row.
        codes: ``sform_code`` and ``qform_code``.
        units: ``xyzt_units``: 1 metre, 2 mm, 3 micrometre, 0 unknown.
        lost_scale: The sform's columns have length 1, as some software leaves them.
        file: Of :data:`FILES`.
        seed: Of voxels and places of damage.
    """

    name: str = "case"
    ending: str = "_0000.nii.gz"
    shape: tuple[int, ...] = (9, 10, 11)
    dtype: str = "int16"
    big_endian: bool = False
    scaling: tuple[float, float] | None = None
    content: str = "ct"
    spacing: tuple[float, float, float] = (8.0, 8.0, 8.0)
    orientation: str = "RAS"
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shear: float = 0.0
    codes: tuple[int, int] = (1, 1)
    units: int = 2
    lost_scale: bool = False
    file: str = "whole"
    seed: int = 0


def recipes(base: Recipe, contents: tuple[str, ...] = CONTENTS, changes: int = 3) -> st.SearchStrategy[Recipe]:
    """A file that differs from ``base`` in up to ``changes`` ways."""
    small = st.integers(1, 14)
    ways = {
        "shape": st.one_of(
            st.tuples(small, small, small),
            st.sampled_from([(1, 9, 9), (9, 1, 9), (9, 9, 1), (1, 1, 1), (2, 2, 2)]),
            st.tuples(small, small),
            st.tuples(small, small, small, st.integers(1, 3)),
            st.just((60, 3, 3)),
        ),
        "dtype": st.sampled_from(TYPES),
        "big_endian": st.just(True),
        "scaling": st.sampled_from(SCALINGS),
        "content": st.sampled_from(contents),
        "spacing": st.tuples(*[st.sampled_from([8.0, 0.7, 1.25, 5.0, 1e-6, 1e5, 0.0, -8.0, float("nan")])] * 3),
        "orientation": st.sampled_from(ORIENTATIONS),
        "angles": st.tuples(*[st.sampled_from([0.0, 0.5, 10.0, 30.0, 44.9, 45.0, 80.0])] * 3),
        "shear": st.sampled_from([1e-4, 0.016, 0.1, 3.0]),
        "codes": st.sampled_from([(0, 0), (1, 0), (0, 1), (2, 3), (99, -1)]),
        "units": st.sampled_from([0, 1, 3]),
        "lost_scale": st.just(True),
        "file": st.sampled_from(FILES),
        "name": st.sampled_from(NAMES),
        "ending": st.sampled_from(ENDINGS),
    }

    @st.composite
    def draw_recipe(draw: st.DrawFn) -> Recipe:
        chosen = draw(st.lists(st.sampled_from(sorted(ways)), max_size=changes, unique=True))
        return replace(base, seed=draw(st.integers(0, 999)), **{way: draw(ways[way]) for way in chosen})

    return draw_recipe()


def affine_of(recipe: Recipe) -> np.ndarray:
    """(4, 4): indices of the file to the world, RAS."""
    matrix = np.zeros((3, 3))
    for axis, code in enumerate(recipe.orientation):
        row = next(row for row, codes in enumerate(("RL", "AP", "SI")) if code in codes)
        matrix[row, axis] = 1.0 if code in "RAS" else -1.0
    for axis, angle in enumerate(np.radians(recipe.angles)):
        turn, (i, j) = np.eye(3), [k for k in range(3) if k != axis]
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    affine = np.eye(4)
    affine[:3, :3] = matrix * np.asarray(recipe.spacing)
    affine[0, 1] += recipe.shear
    affine[:3, 3] = (-40.0, 17.5, 120.0)
    return affine


def voxels_of(recipe: Recipe) -> np.ndarray:
    """The voxels as floats, before they are cast to the file's type."""
    rng = np.random.default_rng(recipe.seed)
    if recipe.content in LABELS and recipe.content not in CONTENTS:
        return _labels(recipe, rng)
    return _image(recipe, rng)


def _labels(recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    labels = np.zeros(recipe.shape)
    middle = tuple(slice(n // 4, max(n // 4 + 1, 3 * n // 4)) for n in recipe.shape)
    labels[middle] = rng.integers(1, 6, labels[middle].shape)
    changed = {"out of range": 77, "fractions": 1.5, "negative": -1}
    if recipe.content == "empty":
        labels[:] = 0
    elif recipe.content == "one label":
        labels[labels > 0] = 1
    elif recipe.content in changed:
        labels.flat[rng.integers(labels.size)] = changed[recipe.content]
    return labels


def _image(recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    image = np.round(rng.normal(-300, 300, recipe.shape))
    whole = {"constant": 40.0, "zero": 0.0, "one voxel": 0.0, "nan everywhere": np.nan}
    single = {"one voxel": 100.0, "nan": np.nan, "inf": np.inf}
    if recipe.content == "noise":
        image = rng.normal(0, 1e4, recipe.shape)
    elif recipe.content == "huge":
        image *= 1e35
    if recipe.content in whole:
        image[:] = whole[recipe.content]
    if recipe.content in single:
        image.flat[rng.integers(image.size)] = single[recipe.content]
    return image


def write(recipe: Recipe, folder: Path) -> Path:
    """Write a file; what cannot be written as asked is written as near to it as the format allows."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (recipe.name + recipe.ending)
    if path.exists() or path.is_symlink():
        return path
    if recipe.file == "folder":
        path.mkdir()
    elif recipe.file == "broken symlink":
        path.symlink_to(folder / "nowhere.nii.gz")
    elif recipe.file == "symlink loop":
        path.symlink_to(path)
    elif recipe.file == "symlink":
        elsewhere = folder.parent / "elsewhere" / path.name
        write(replace(recipe, file="whole"), elsewhere.parent)
        path.symlink_to(elsewhere)
    else:
        path.write_bytes(_damaged(recipe, _nifti(recipe), path.name.endswith(".gz")))
    return path


def _nifti(recipe: Recipe) -> bytes:
    order = ">" if recipe.big_endian else "<"
    with np.errstate(all="ignore"):
        array = voxels_of(recipe).astype(recipe.dtype)
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(np.dtype(recipe.dtype).newbyteorder(order))
    header.set_data_shape(array.shape)
    affine = affine_of(recipe)
    zooms = [1.0] * array.ndim
    for axis in range(min(3, array.ndim)):
        zooms[axis] = recipe.spacing[axis]
    header["pixdim"][1 : 1 + array.ndim] = zooms
    header["xyzt_units"] = recipe.units
    header["srow_x"], header["srow_y"], header["srow_z"] = affine[:3]
    if recipe.lost_scale:
        with np.errstate(all="ignore"):
            lost = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        for row, name in enumerate(("srow_x", "srow_y", "srow_z")):
            header[name][:3] = lost[row]
    if np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 0:
        header.set_qform(affine, code=1, strip_shears=True)
        header["pixdim"][1 : 1 + array.ndim] = zooms
    header["sform_code"], header["qform_code"] = recipe.codes
    header["scl_slope"], header["scl_inter"] = recipe.scaling or (np.nan, np.nan)
    header["magic"], header["vox_offset"] = b"n+1", 352
    voxels = array.astype(np.dtype(recipe.dtype).newbyteorder(order)).tobytes(order="F")
    return header.binaryblock + b"\0" * 4 + voxels


def _damaged(recipe: Recipe, content: bytes, compress: bool) -> bytes:
    rng = np.random.default_rng(recipe.seed)
    if recipe.file == "header changed":
        bytes_ = bytearray(content)
        for place in rng.integers(0, 348, 3):
            bytes_[place] = int(rng.integers(256))
        content = bytes(bytes_)
    if recipe.file == "plain under .gz":
        return content
    if recipe.file == "text":
        return b"this is not an image\n" * int(rng.integers(1, 40))
    if recipe.file == "empty":
        return b""
    stored = gzip.compress(content, mtime=0) if compress else content
    if recipe.file == "cut":
        return stored[: int(len(stored) * rng.uniform(0.2, 0.999))]
    if recipe.file == "cut in the header":
        return stored[: int(rng.integers(1, 60))]
    if recipe.file == "bytes changed":
        bytes_ = bytearray(stored)
        for place in rng.integers(10, len(bytes_), 3):
            bytes_[place] = int(rng.integers(256))
        return bytes(bytes_)
    return stored + (os.urandom(50) if recipe.file == "trailing garbage" else b"")

"""What must become of a file, known from its recipe and not from its reader: refused, or labels at a known place.

The rules are those of docs/files.md, written a second time. Where several faults meet, or the file itself is damaged,
the oracle says nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from tests.faults.mutations import Recipe, affine_of

REFUSED = "refused"
SOUND_CONTENTS = ("ct", "noise", "labels", "one label")
LARGEST_COSINE = 0.01
SAME_SPACING = 1e-3
MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
CASE_NAME = re.compile(r"(.+)_\d{4}\.nii\.gz", re.DOTALL)


def expected_place(recipe: Recipe) -> np.ndarray | str | None:
    """(3, 4) world positions (LPS, mm) of the file's (x, y, z) indices; ``refused``; or None where nothing is known."""
    if not _is_plain(recipe):
        return None
    sform, qform = recipe.codes
    if sform == 0 and qform == 0:
        return REFUSED
    affine = affine_of(recipe)
    sheared = bool(recipe.shear)
    stretch = np.abs(np.linalg.norm(affine[:3, :3], axis=0) / np.asarray(recipe.spacing) - 1).max()
    if stretch > SAME_SPACING and sform > 0 and not recipe.lost_scale:
        return REFUSED  # shear along a turned axis makes it longer than pixdim says
    if _largest_cosine(affine) > LARGEST_COSINE:
        return REFUSED if sform > 0 and not recipe.lost_scale else None
    if sheared and (sform == 0 or recipe.lost_scale):
        return None  # a qform holds no shear: nearly the same place, at which a second rule would only guess
    if recipe.lost_scale and sform > 0 and qform == 0:
        return REFUSED  # sform and pixdim disagree, and nothing says which is right
    return RAS_TO_LPS @ affine[:3] * MM_PER_UNIT[recipe.units]


def itk_place(file: Path) -> np.ndarray:
    """(3, 4) where ITK, which took no part in writing, sees a file's (x, y, z) indices."""
    image = sitk.ReadImage(str(file))
    corners = np.eye(4)[:, :3]
    points = np.array([image.TransformContinuousIndexToPhysicalPoint(corner.tolist()) for corner in corners])
    return np.concatenate([(points[:3] - points[3]).T, points[3][:, None]], axis=1)


def disagreement(recipe: Recipe, labels: Path | None) -> str:
    """What is wrong with the fate of an image, empty if nothing is: labels where there must be none, or elsewhere."""
    expected = expected_place(recipe)
    if expected is None:
        return ""
    if isinstance(expected, str):
        return f"{recipe.name}: labels for a file that must be refused" if labels is not None else ""
    if labels is None:
        return f"{recipe.name}: refused, though its place is known"
    found = itk_place(labels)
    spacing = float(np.linalg.norm(expected[:, :3], axis=0).min())
    if np.abs(found - expected).max() > 0.01 * spacing:
        return f"{recipe.name}: labels at {found.round(3).tolist()}, expected {expected.round(3).tolist()}"
    return ""


def _is_plain(recipe: Recipe) -> bool:
    """A whole file of an ordinary kind, of which only the place may be wrong."""
    spacing = np.asarray(recipe.spacing)
    return (
        recipe.file in ("whole", "symlink")
        and len(recipe.shape) == 3
        and min(recipe.shape) >= 2
        and recipe.dtype not in ("complex64", "uint8", "int8")
        and recipe.content in SOUND_CONTENTS
        and recipe.scaling is None
        and bool(np.isfinite(spacing).all() and spacing.min() > 0.1 and spacing.max() < 100)
        and recipe.codes in ((0, 0), (1, 0), (0, 1), (1, 1), (2, 3))
        and CASE_NAME.fullmatch(recipe.name + recipe.ending) is not None
        and recipe.ending == "_0000.nii.gz"
    )


def _largest_cosine(affine: np.ndarray) -> float:
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.abs(axes.T @ axes - np.eye(3)).max())

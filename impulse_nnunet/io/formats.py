"""File formats: which library reads what, and what the libraries raise at damaged files."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import OrientationError
from nibabel.spatialimages import HeaderDataError

from impulse_nnunet.errors import InputError

NIFTI = (".nii", ".nii.gz")
LABEL_MAP_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
# whatever nibabel, ITK and nnU-Net's readers raise at files that are damaged or no images
READING_ERRORS = (
    OSError,
    RuntimeError,
    ValueError,
    EOFError,
    OverflowError,
    TypeError,
    IndexError,
    KeyError,
    AssertionError,
    MemoryError,
    zlib.error,
    np.linalg.LinAlgError,
    ImageFileError,
    HeaderDataError,
    OrientationError,
)


def is_nifti(path: str | Path) -> bool:
    """Whether a file is NIfTI by its name: read by nibabel, as nnU-Net's default reader for it does; ITK the rest."""
    return str(path).lower().endswith(NIFTI)


def unreadable(path: str | Path, error: Exception, expected: str) -> InputError:
    """The error of a file at which a library raised one of :data:`READING_ERRORS`."""
    reason = " ".join(str(error).split()) or type(error).__name__
    found = f"an unreadable file ({reason[:160]})"
    return InputError(str(path), found, expected, "replace the file or leave the case out")

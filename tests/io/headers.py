"""Headers as other software writes them: bytes of NIfTI-1 files changed in place."""

import gzip
import struct

import numpy as np

PIXDIM, XYZT_UNITS, SLOPE, INTERCEPT, QFORM_CODE, SFORM_CODE, SROW = 80, 123, 112, 116, 252, 254, 280  # offsets


def change_header(path, *, pixdim=None, units=None, slope=None, qform_code=None, sform_code=None, srow=None):
    """Change fields of a .nii or .nii.gz file; ``srow`` is (3 or 4, 4)."""
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rb") as file:
        raw = bytearray(file.read())
    if pixdim is not None:
        struct.pack_into("<3f", raw, PIXDIM, *pixdim)
    if units is not None:
        raw[XYZT_UNITS] = units
    if slope is not None:
        struct.pack_into("<2f", raw, SLOPE, slope, 0)
    for place, code in ((QFORM_CODE, qform_code), (SFORM_CODE, sform_code)):
        if code is not None:
            struct.pack_into("<h", raw, place, code)
    if srow is not None:
        struct.pack_into("<12f", raw, SROW, *np.asarray(srow, float)[:3].ravel())
    with opener(path, "wb") as file:
        file.write(bytes(raw))
    return path

"""A vector image that is written while it is made, slab by slab: a field of a large scan need not fit in memory.

NIfTI keeps the components one behind the other, each over the whole volume, so slabs are put into an uncompressed file
beside the target first, which is compressed afterwards. Other formats are put together in memory.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
import weakref
from pathlib import Path
from types import TracebackType

import nibabel
import numpy as np

from impulse_nnunet.io.files import INCOMPLETE, make_folder, unwritable, whole_file
from impulse_nnunet.io.formats import is_nifti
from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.io.label_maps import write_on_grid
from impulse_nnunet.io.nifti_place import read_place

COMPONENTS = 3
FAST = 1  # gzip's level; nibabel's as well
PIECE = 2**22  # bytes that are compressed at once


class VectorImage:
    """World vectors (d, h, w, 3) float32 on a grid; what was not written goes with the object.

    Args:
        grid: Its place in the world.
        path: The file; its ending is the format.
        like: Where both are NIfTI, the file gets the form codes of this one.
    """

    def __init__(self, grid: FileGrid, path: Path, like: Path) -> None:
        self.grid, self.path, self.like = grid, path, like
        self.array: np.ndarray | None = None
        self.folder: Path | None = None
        if is_nifti(path):
            make_folder(path.parent)
            self.folder = Path(tempfile.mkdtemp(prefix=INCOMPLETE, dir=path.parent))
            self.raw = self.folder / "components"
            self.raw.touch()
            self._drop = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        else:
            self.array = np.zeros((*grid.shape, COMPONENTS), np.float32)

    def put(self, first: int, vectors: np.ndarray) -> None:
        """Put planes (n, h, w, 3) where plane ``first`` of the grid is.

        Raises:
            InputError: The disk is full.
        """
        if self.array is not None:
            self.array[first : first + len(vectors)] = vectors
            return
        depth, height, width = self.grid.shape
        plane = height * width * np.dtype(np.float32).itemsize
        try:
            with self.raw.open("r+b") as file:
                for component in range(COMPONENTS):
                    file.seek((component * depth + first) * plane)
                    file.write(np.ascontiguousarray(vectors[..., component], "<f4").data)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def write(self) -> None:
        """Write the file, which appears only when it is whole, and let go of what it was made from."""
        try:
            if self.array is not None:
                write_on_grid(self.array, self.grid, self.path, like=self.like)
            else:
                self._write_nifti()
        finally:
            self.close()

    def close(self) -> None:
        """Drop the components."""
        if self.folder is not None:
            self._drop()
        self.array = None

    def __enter__(self) -> VectorImage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.close()

    def _write_nifti(self) -> None:
        header = _header(self.grid, self.like)
        with whole_file(self.path) as temporary:
            compressed = temporary.name.lower().endswith(".gz")
            opened = gzip.GzipFile(temporary, "wb", FAST, mtime=0) if compressed else temporary.open("wb")
            with opened as target, self.raw.open("rb") as source:
                target.write(header)
                shutil.copyfileobj(source, target, PIECE)


def _header(grid: FileGrid, like: Path) -> bytes:
    """Of the single file, up to where the voxels begin."""
    geometry = read_place(like).geometry if is_nifti(like) else {}
    header = nibabel.Nifti1Header(endianness="<")
    header.set_data_dtype(np.float32)
    header.set_data_shape((*grid.size, 1, COMPONENTS))
    header.set_intent("vector")
    affine = grid.ras_affine
    header.set_qform(affine, geometry.get("qform_code", 1))
    header.set_sform(affine, geometry.get("sform_code", 1))
    header.set_xyzt_units("mm")
    header["magic"], header["vox_offset"] = b"n+1", 352
    header.set_slope_inter(1, 0)
    return bytes(header.binaryblock) + bytes(4)

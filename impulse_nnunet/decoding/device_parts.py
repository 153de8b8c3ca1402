"""Parts of a grid that a device decodes at once, and where their results go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from impulse_nnunet.decoding.grids import OutputGrid
from impulse_nnunet.geometry.boxes import Box

Size = tuple[int, int, int]


@dataclass(frozen=True)
class GridPart:
    """A block of voxels.

    Args:
        lower: (3,) first voxel in the grid.
        extent: (3,) voxels along each axis.
    """

    lower: Size
    extent: Size

    @property
    def voxels(self) -> int:
        """Their number."""
        return self.extent[0] * self.extent[1] * self.extent[2]

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Where it lies in an array of the grid."""
        z, y, x = (slice(low, low + n) for low, n in zip(self.lower, self.extent, strict=True))
        return z, y, x

    def within(self, outer: GridPart) -> GridPart:
        """The same voxels, counted from the first one of a part that holds them."""
        return replace(self, lower=_triple([a - b for a, b in zip(self.lower, outer.lower, strict=True)]))


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is written for a part.

    Args:
        labels: (d, h, w) of the whole grid, or None.
        logits: (d, h, w, class) float32 of the part, or None.
        displacement: (d, h, w, 3) float32 of the part, or None.
        adds: Whether what stands in ``logits`` and ``displacement`` is added before anything is written.
        share: Weight of the fold that is evaluated: one over the number of folds.
    """

    labels: Tensor | None = None
    logits: Tensor | None = None
    displacement: Tensor | None = None
    adds: bool = False
    share: float = 1.0


@dataclass(frozen=True)
class Placement:
    """Where the voxels of a grid lie in a box.

    Args:
        to_box: (3, 4) float64: box position = to_box @ (index d, h, w, 1).
        lower: (3,) first index that can lie in the box.
        upper: (3,) last one, excluded.
    """

    to_box: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @classmethod
    def of(cls, grid: OutputGrid, box: Box) -> Placement:
        """Where a grid lies in a box."""
        return cls(grid.to_box(box), *grid.index_range(box))

    @property
    def upright(self) -> bool:
        """Whether each axis of the grid runs along the same axis of the box, in either direction."""
        linear = self.to_box[:, :3]
        return bool(np.count_nonzero(linear - np.diag(np.diag(linear))) == 0)

    def parts(self, voxels: int) -> Iterator[GridPart]:
        """All voxels that can lie in the box, in parts of no more than ``voxels``."""
        if np.all(self.upper > self.lower):
            whole = GridPart(_triple(self.lower), _triple(self.upper - self.lower))
            yield from parts_of(whole, voxels)


def parts_of(part: GridPart, voxels: int) -> Iterator[GridPart]:
    """Split a part into such of no more than ``voxels``: planes, or rows where one is too large, or pieces of rows."""
    depth, height, width = part.extent
    x = max(1, min(width, voxels))
    y = max(1, min(height, voxels // width))
    z = max(1, min(depth, voxels // (width * height)))
    for first_z in range(0, depth, z):
        for first_y in range(0, height, y):
            for first_x in range(0, width, x):
                first = (first_z, first_y, first_x)
                yield GridPart(
                    _triple([low + a for low, a in zip(part.lower, first, strict=True)]),
                    (min(z, depth - first_z), min(y, height - first_y), min(x, width - first_x)),
                )


def _triple(values: Sequence[int] | np.ndarray) -> Size:
    d, h, w = (int(value) for value in values)
    return d, h, w

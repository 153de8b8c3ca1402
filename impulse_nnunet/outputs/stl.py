"""STL, binary: triangles without names or units; the head says the space, as 3D Slicer reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from impulse_nnunet.io.files import whole_file
from impulse_nnunet.outputs.scene import Part

HEAD_BYTES = 80
TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def write_stl(part: Part, space: str, path: Path) -> None:
    """Write one surface, mm."""
    triangles = np.zeros(len(part.surface.triangles), TRIANGLE)
    corners = part.surface.points[part.surface.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    triangles["normal"] = normals / np.where(lengths > 0, lengths, 1)
    triangles["corners"] = corners
    head = f"SPACE={space} UNIT=mm {part.name}".encode("ascii", "replace")[:HEAD_BYTES]
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(head.ljust(HEAD_BYTES))
        file.write(np.uint32(len(triangles)).astype("<u4").tobytes())
        file.write(triangles.tobytes())

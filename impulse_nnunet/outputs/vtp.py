"""VTP: VTK's polygons, one file with label and colour of each triangle, for ParaView and scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from impulse_nnunet.io.files import whole_file
from impulse_nnunet.outputs.scene import NOTE, Scene

if TYPE_CHECKING:
    import pyvista

LABEL, COLOUR = "label", "colour"
SPACE, UNIT, LABELS, NAMES, NOTES = "SPACE", "UNIT", "labels", "names", "note"


def write_vtp(scene: Scene, path: Path) -> None:
    """Write a scene; field data say the space, as 3D Slicer reads it, mm, and the labels with their names."""
    mesh = mesh_of(scene)
    with whole_file(path) as temporary:
        mesh.save(temporary, binary=True)


def mesh_of(scene: Scene) -> pyvista.PolyData:
    """All surfaces as one mesh."""
    import pyvista as pv

    surfaces = [part.surface for part in scene.parts]
    starts = np.cumsum([0, *(len(surface.points) for surface in surfaces)])[:-1]
    triangles = [surface.triangles + start for surface, start in zip(surfaces, starts, strict=True)]
    points = np.concatenate([surface.points for surface in surfaces]).astype(np.float32)
    mesh = pv.PolyData.from_regular_faces(points, np.concatenate(triangles))
    counts = [len(surface.triangles) for surface in surfaces]
    labels = np.array([surface.label for surface in surfaces], np.int32)
    mesh.cell_data[LABEL] = np.repeat(labels, counts)
    mesh.cell_data[COLOUR] = np.repeat(np.array([part.colour_bytes for part in scene.parts], np.uint8), counts, axis=0)
    mesh.set_active_scalars(LABEL, "cell")
    mesh.field_data[SPACE], mesh.field_data[UNIT], mesh.field_data[NOTES] = [scene.space], ["mm"], [NOTE]
    mesh.field_data[LABELS], mesh.field_data[NAMES] = labels, [part.name for part in scene.parts]
    return mesh

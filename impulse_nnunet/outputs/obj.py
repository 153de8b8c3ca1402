"""OBJ with its MTL: names and colours; the space and mm stand in comments, as 3D Slicer reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from impulse_nnunet.io.files import whole_file
from impulse_nnunet.outputs.scene import NOTE, Scene
from impulse_nnunet.outputs.text import rows_of_text


def write_obj(scene: Scene, path: Path) -> Path:
    """Write a scene; returns the file with the colours, which has the same name and ends in .mtl."""
    materials = path.with_name(path.name.removesuffix(".obj") + ".mtl")
    with whole_file(materials) as temporary:
        temporary.write_text("".join(_materials(scene)), encoding="utf-8")
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(f"# SPACE={scene.space}\n# UNIT=mm\n# {NOTE}\nmtllib {materials.name}\n")
        first = 1
        for part in scene.parts:
            file.write(f"# {part.name}\no {part.file_name}\n")
            file.writelines(rows_of_text("v %.4f %.4f %.4f\n", part.surface.points))
            file.write(f"usemtl {part.file_name}\n")
            file.writelines(rows_of_text("f %d %d %d\n", part.surface.triangles + first))
            first += len(part.surface.points)
    return materials


def _materials(scene: Scene) -> Iterator[str]:
    for part in scene.parts:
        red, green, blue = part.colour
        yield f"newmtl {part.file_name}\nKd {red:.4f} {green:.4f} {blue:.4f}\nKa 0 0 0\nKs 0 0 0\nd 1\nillum 1\n"

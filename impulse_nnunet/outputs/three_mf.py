"""3MF for printing (3MF core specification 1.3): mm, names and colours; one object that keeps its parts in place."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from impulse_nnunet.io.files import whole_file
from impulse_nnunet.outputs.colours import to_hex
from impulse_nnunet.outputs.scene import NOTE, Part, Scene
from impulse_nnunet.outputs.text import rows_of_text

XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
TYPES = (
    XML + '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>'
)
RELATIONS = (
    XML + '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Target="/3D/3dmodel.model" Id="rel0" '
    'Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>'
)
CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
MATERIALS, FIRST = 1, 2  # numbers of the colours and of the first part
FAST = 1  # level of compression


def write_three_mf(scene: Scene, path: Path) -> None:
    """Write a scene."""
    with (
        whole_file(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=FAST) as archive,
    ):
        archive.writestr("[Content_Types].xml", TYPES)
        archive.writestr("_rels/.rels", RELATIONS)
        with archive.open("3D/3dmodel.model", "w", force_zip64=True) as file:
            for text in _model(scene):
                file.write(text.encode())


def _model(scene: Scene) -> Iterator[str]:
    yield f'{XML}<model unit="millimeter" xml:lang="en-US" xmlns="{CORE}">\n'
    yield f'<metadata name="Title">{escape(scene.case)}</metadata>\n'
    yield f'<metadata name="Description">SPACE={scene.space} UNIT=mm; {NOTE}</metadata>\n'
    yield f'<resources>\n<basematerials id="{MATERIALS}">\n'
    for part in scene.parts:
        yield f'<base name={quoteattr(part.name)} displaycolor="{to_hex(part.colour)}"/>\n'
    yield "</basematerials>\n"
    for index, part in enumerate(scene.parts):
        yield from _object(index, part)
    whole = FIRST + len(scene.parts)
    yield f'<object id="{whole}" type="model" name={quoteattr(scene.case)}>\n<components>\n'
    for index in range(len(scene.parts)):
        yield f'<component objectid="{FIRST + index}"/>\n'
    yield f'</components>\n</object>\n</resources>\n<build>\n<item objectid="{whole}"/>\n</build>\n</model>\n'


def _object(index: int, part: Part) -> Iterator[str]:
    yield f'<object id="{FIRST + index}" type="model" name={quoteattr(part.name)} pid="{MATERIALS}" pindex="{index}">\n'
    yield "<mesh>\n<vertices>\n"
    yield from rows_of_text('<vertex x="%.4f" y="%.4f" z="%.4f"/>\n', part.surface.points)
    yield "</vertices>\n<triangles>\n"
    yield from rows_of_text('<triangle v1="%d" v2="%d" v3="%d"/>\n', part.surface.triangles)
    yield "</triangles>\n</mesh>\n</object>\n"

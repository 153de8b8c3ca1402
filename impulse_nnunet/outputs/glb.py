"""GLB: glTF 2.0 in one binary file, with names and colours, for viewers, phones and presentations.

glTF wants metres, y upwards and z forwards (specification, section 3.4). Points stay in mm and in the scene's space;
the root node's matrix takes them there, so that a viewer shows the right size and way up.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from impulse_nnunet.io.files import whole_file
from impulse_nnunet.outputs.colours import RGB
from impulse_nnunet.outputs.scene import LPS, NOTE, RAS, Part, Scene

JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
MAGIC, VERSION = 0x46546C67, 2
FLOAT, UNSIGNED_INT = 5126, 5125  # component types
ARRAY, ELEMENTS = 34962, 34963  # targets
METRES = 0.001
# glTF's axes: x to the patient's left, y to the head, z to the front
TO_GLTF = {LPS: np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]), RAS: np.array([[-1, 0, 0], [0, 0, 1], [0, 1, 0]])}


def write_glb(scene: Scene, path: Path) -> None:
    """Write a scene."""
    arrays = [array for part in scene.parts for array in _arrays(part)]
    lengths = [array.nbytes for array in arrays]
    content = json.dumps(_content(scene, lengths), separators=(",", ":")).encode()
    content += b" " * (-len(content) % 4)
    binary = sum(lengths)
    head = [MAGIC, VERSION, 12 + 8 + len(content) + 8 + binary, len(content), JSON_CHUNK]
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(np.array(head, "<u4").tobytes())
        file.write(content)
        file.write(np.array([binary, BINARY_CHUNK], "<u4").tobytes())
        for array in arrays:
            file.write(array.tobytes())


def _arrays(part: Part) -> tuple[np.ndarray, np.ndarray]:
    return part.surface.points.astype("<f4"), part.surface.triangles.astype("<u4")


def _content(scene: Scene, lengths: Sequence[int]) -> dict[str, Any]:
    """The JSON chunk.

    Args:
        scene: What is written.
        lengths: Bytes of the points and the triangles of each part in turn.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = METRES * TO_GLTF[scene.space]
    number = len(scene.parts)
    root = {
        "name": scene.case,
        "matrix": matrix.T.ravel().tolist(),  # by columns
        "extras": {"space": scene.space, "unit": "mm", "note": NOTE},
        **({"children": list(range(1, number + 1))} if number else {}),
    }
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    views = [
        {"buffer": 0, "byteOffset": start, "byteLength": length, "target": ELEMENTS if index % 2 else ARRAY}
        for index, (start, length) in enumerate(zip(starts, lengths, strict=True))
    ]
    return {
        "asset": {"version": "2.0", "generator": "impulse_nnunet"},
        "scene": 0,
        "scenes": [{"nodes": [0], "name": scene.case}],
        "nodes": [root, *(_node(index, part) for index, part in enumerate(scene.parts))],
        "meshes": [_mesh(index, part) for index, part in enumerate(scene.parts)],
        "materials": [_material(part) for part in scene.parts],
        "accessors": [accessor for index, part in enumerate(scene.parts) for accessor in _accessors(index, part)],
        "bufferViews": views,
        "buffers": [{"byteLength": sum(lengths)}],
    }


def _node(index: int, part: Part) -> dict[str, Any]:
    return {"name": part.name, "mesh": index, "extras": {"label": part.surface.label}}


def _mesh(index: int, part: Part) -> dict[str, Any]:
    primitive = {"attributes": {"POSITION": 2 * index}, "indices": 2 * index + 1, "material": index}
    return {"name": part.name, "primitives": [primitive]}


def _material(part: Part) -> dict[str, Any]:
    colour = [*_linear(part.colour), 1.0]
    return {
        "name": part.name,
        "pbrMetallicRoughness": {"baseColorFactor": colour, "metallicFactor": 0.0, "roughnessFactor": 0.8},
    }


def _accessors(index: int, part: Part) -> list[dict[str, Any]]:
    points = part.surface.points.astype(np.float32)
    return [
        {
            "bufferView": 2 * index,
            "componentType": FLOAT,
            "count": len(points),
            "type": "VEC3",
            "min": points.min(axis=0).tolist(),
            "max": points.max(axis=0).tolist(),
        },
        {
            "bufferView": 2 * index + 1,
            "componentType": UNSIGNED_INT,
            "count": part.surface.triangles.size,
            "type": "SCALAR",
        },
    ]


def _linear(colour: RGB) -> list[float]:
    """From sRGB to the linear values that glTF's factors are (IEC 61966-2-1)."""
    values = np.asarray(colour)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).round(6).tolist()

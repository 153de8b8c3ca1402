"""A page read back without a browser: JSON and chunks, decoded by a plain reading of the format."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path

import numpy as np


def read_page(path: Path):
    """The page's JSON and its chunks as bytes."""
    text = path.read_text(encoding="utf-8")
    content = json.loads(re.search(r'id="content">(.*?)</script>', text)[1])
    found = re.findall(r'id="chunk-(\d+)">(.*?)</script>', text)
    assert [int(number) for number, _ in found] == list(range(len(found)))
    return content, [gzip.decompress(base64.b64decode(data)) for _, data in found]


def integers(data: bytes, count: int, width: int):
    """Whole numbers of planes of bytes, and what is left of the data."""
    values, before = [], 0
    for k in range(count):
        code = sum(data[byte * count + k] << (8 * byte) for byte in range(width))
        before += -(code + 1) // 2 if code % 2 else code // 2
        values.append(before)
    return values, data[width * count :]


def mesh_of(one, grid, chunks):
    """Points (n, 3), mm, and triangles (m, 3) of a structure."""
    data, axes = chunks[one["mesh"]["chunk"]], []
    for axis in range(3):
        steps, data = integers(data, one["mesh"]["points"], 3)
        axes.append(grid["lower"][axis] + np.array(steps) * grid["step"])
    first, data = integers(data, one["mesh"]["triangles"], 4)
    second, data = integers(data, one["mesh"]["triangles"], 4)
    third, data = integers(data, one["mesh"]["triangles"], 4)
    assert data == b""
    first = np.array(first)
    return np.stack(axes, axis=1), np.stack([first, first + second, first + third], axis=1)


def volume_of(about, chunks):
    """Values (z, y, x) of a volume."""
    data = np.frombuffer(chunks[about["chunk"]], np.uint8 if about["bytes"] == 1 else "<u2")
    if about.get("differences"):
        data = (np.cumsum(data.astype(np.int64)) % 256).astype(np.uint8)
    return data.reshape(about["shape"][::-1])

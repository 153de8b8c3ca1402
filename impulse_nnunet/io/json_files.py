"""JSON from outside, bounded in size and depth."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import InputError

LARGEST_JSON_BYTES = 64 * 2**20
DEEPEST = 100  # levels; plans have about eight
REMEDY = "take the file from where the model was made"


def read_json_object(path: Path, what: str, remedy: str = REMEDY) -> dict[str, Any]:
    """Content of a JSON file that holds one object.

    Args:
        path: The file.
        what: What it should be, for messages.
        remedy: What the user can do, for messages.

    Raises:
        InputError: It is not there, larger than 64 MiB, no JSON, nested too deeply or no object.
    """
    if not path.is_file():
        raise InputError(str(path), "no such file", what, remedy)
    if path.stat().st_size > LARGEST_JSON_BYTES:
        found = f"{path.stat().st_size / 2**20:.0f} MiB"
        raise InputError(str(path), found, f"{what} of at most {LARGEST_JSON_BYTES // 2**20} MiB", remedy)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise InputError(str(path), "lists in lists without end", what, remedy) from error
    except (ValueError, OSError) as error:
        raise InputError(str(path), f"no valid JSON ({error})", what, remedy) from error
    if not isinstance(content, dict):
        raise InputError(str(path), f"a {type(content).__name__}", f"an object, {what}", remedy)
    if _depth(content) > DEEPEST:
        raise InputError(str(path), f"more than {DEEPEST} levels", what, remedy)
    return content


def not_finite(content: Any, where: str = "") -> str | None:
    """Dotted name of the first number that is NaN or infinite (JSON as Python writes it may hold them), or None."""
    if isinstance(content, float):
        return None if math.isfinite(content) else where
    items: Any = ()
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, list):
        items = enumerate(content)
    found = (not_finite(value, f"{where}.{key}".removeprefix(".")) for key, value in items)
    return next((name for name in found if name is not None), None)


def _depth(content: Any) -> int:
    """Levels of nesting, counted without recursion."""
    level, todo = 0, [content]
    while todo:
        level += 1
        children = [entry.values() if isinstance(entry, dict) else entry for entry in todo]
        todo = [child for group in children for child in group if isinstance(child, dict | list)]
    return level
